"""How an entry, a lot or a member is put in plain words; the way in is `projections.explain`.

`history` derives what the engine saw, `facts`, `reasons`, `changes`, `nothing`, `clawbacks` and `lots` say each thing
once as data with a sentence, `render` lays that out for people.
"""
