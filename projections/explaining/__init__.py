"""How an entry, a lot or a member is put in plain words; the way in is `explain`.

`history` decides the member's facts again with a trace, so that every figure is the engine's own. `facts`, `changes`,
`awards`, `nothing`, `reasons`, `clawbacks`, `lots` and `member` say each thing once as data with a sentence; the
sentences of a language are in its file, such as english.toml. `service.screens.explanation` lays it out.
"""
