"""The router: who may send what to whom, inboxes, leases, and answers in time."""
