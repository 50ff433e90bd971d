"""The teacher: whoever writes, rewrites, solves and judges, reached by the `openai` client over HTTP.

`client` asks and retries; `endpoint` says whom, `journal` keeps every answer, `books` counts them and caps the cost, `responses`
reads what came back; `prompts` holds every text that is asked; `server` is the built-in procedural teacher, which speaks the
same protocol and is not a language model.
"""
