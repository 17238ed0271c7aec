"""A real Prometheus scrapes a real HTTP face on loopback, and promtool finds nothing to say about what it gets."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from pwmtad.adapters.http_api import HttpApi
from pwmtad.adapters.metrics import Metrics
from tests.tools.states import AT, sample_snapshot

pytestmark = pytest.mark.services

_CONFIG = """\
global: {{scrape_interval: 10s, scrape_timeout: 10s}}
scrape_configs:
  - job_name: pwmtad
    static_configs: [{{targets: ["{target}"]}}]
"""


@asynccontextmanager
async def _face() -> AsyncIterator[str]:
    api = HttpApi(sample_snapshot, listen="127.0.0.1:0", socket=None, max_tick_age_s=30, now=lambda: AT, metrics=Metrics())
    await api.start()
    try:
        yield f"127.0.0.1:{api.addresses[0][1]}"
    finally:
        await api.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def _prometheus(folder: Path, target: str) -> AsyncIterator[str]:
    """Run a Prometheus of our own; yield its address."""
    (folder / "prometheus.yml").write_text(_CONFIG.format(target=target))
    address = f"127.0.0.1:{_free_port()}"
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "/usr/bin/prometheus",
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={address}",
            "--log.level=warn",
            stdout=log,
            stderr=log,
        )
    try:
        yield address
    finally:
        process.kill()
        await process.wait()


def _ask(address: str, path: str) -> Any:
    with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
        return json.load(answer)["data"]


async def _value(address: str, query: str) -> float | None:
    try:
        found = await asyncio.to_thread(_ask, address, f"/api/v1/query?query={quote(query)}")
    except OSError:  # not up yet
        return None
    return float(found["result"][0]["value"][1]) if found["result"] else None


async def _wait_for(address: str, query: str) -> float:
    async with asyncio.timeout(60):
        while (value := await _value(address, query)) is None:  # noqa: ASYNC110  Prometheus tells nobody when it has scraped
            await asyncio.sleep(0.2)
    return value


async def test_prometheus_scrapes_and_answers_from_what_it_scraped(tmp_path: Path) -> None:
    async with _face() as target, _prometheus(tmp_path, target) as address:
        attempts = sum(sum(counts) for counts in sample_snapshot().totals.attempts.values())
        assert await _wait_for(address, "sum(pwmtad_attempts_total)") == attempts
        assert await _value(address, 'up{job="pwmtad"}') == 1
        assert await _value(address, 'pwmtad_attempts_total{egress="out05",operator="google",class="reputation"}') == 123
        assert await _value(address, 'pwmtad_warmup_day{stream="trucking"}') == 15
        assert await _value(address, 'pwmtad_halts{stream="trucking",rule="google-blocks",phase="active"}') == 1
        assert await _value(address, 'pwmtad_sending{stream="trucking"}') == 0
        assert await _value(address, 'pwmtad_lookback_messages{stream="trucking",state="unsigned",lookback="24h"}') == 22
        assert await _value(address, "count(pwmtad_tick_duration_seconds_bucket)") == 13
        (scraped,) = (await asyncio.to_thread(_ask, address, "/api/v1/targets"))["activeTargets"]
        assert (scraped["health"], scraped["lastError"]) == ("up", "")
        known = await asyncio.to_thread(_ask, address, "/api/v1/metadata")
        assert known["pwmtad_attempts_total" if "pwmtad_attempts_total" in known else "pwmtad_attempts"][0]["type"] == "counter"


async def _promtool(*arguments: str, given: bytes = b"") -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        "/usr/bin/promtool",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate(given)
    return process.returncode, output.decode()


async def test_promtool_has_nothing_to_say_about_the_metrics() -> None:
    body, _ = Metrics().exposition(sample_snapshot(), "")
    assert await _promtool("check", "metrics", given=body) == (0, "")


async def test_the_alerts_of_the_document_are_valid(tmp_path: Path) -> None:
    document = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    (rules,) = (block for block in re.findall(r"```yaml\n(.*?)```", document, re.DOTALL) if block.startswith("groups:"))
    (tmp_path / "rules.yml").write_text(rules)
    code, output = await _promtool("check", "rules", str(tmp_path / "rules.yml"))
    assert (code, f"{rules.count('- alert:')} rules found" in output) == (0, True), output
    used = set(re.findall(r"pwmtad_\w+", rules))
    body, _ = Metrics().exposition(sample_snapshot(), "")
    assert used <= set(re.findall(r"^pwmtad_\w+", body.decode(), re.MULTILINE))
