"""ConvNeXt nets over the frames of a mel, such as lift's.

`shape` says what is known of a net before its weights, `weights` packs these, `layers` are the compiled functions, and
`net` runs them.
"""
