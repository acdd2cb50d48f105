"""Signing and encryption of what lies on the broker: messages, values of workflows, results.

`keys` reads the secrets, `seals` makes and opens one sealed piece of bytes, `places` says what a
piece is bound to at each place. Nothing here is imported unless `message_signing` or
`message_encryption` is on. Next in the walk: `windlass.sealing.seals`.
"""
