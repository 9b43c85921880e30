"""Everything running on one machine: embedded servers, upstream stand-ins, traffic, faults."""
