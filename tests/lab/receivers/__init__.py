"""The receivers: one process that answers as Google, Yahoo, Microsoft and others do, and writes down all that reached it.

In: SMTP, personas, the record. Out: whoever sends.
"""
