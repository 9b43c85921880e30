"""The load generator: a process of its own, open loop, so that waiting is counted.

A closed-loop generator stops asking while the server is slow and so leaves out the very requests
that would have waited (coordinated omission). Here every request has an appointed time, drawn
beforehand, and its latency runs from that time, whether or not a connection was free by then.
"""
