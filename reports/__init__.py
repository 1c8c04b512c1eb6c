"""What people read: pages and files rendered from a run folder."""
