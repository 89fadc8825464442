"""A Groq on your own machine: for demos, and for tests that need a provider that misbehaves.

It can speak as Gemini and as Ollama too: `SimulatorSettings(dialect=...)`. Six ideas carry it:

- **It stands apart.** Nothing here imports the gateway; the two meet over a socket, as with the
  real Groq.
- **A reply is a value.** Every endpoint turns an *arrival* (what came in, without any socket)
  into a *reply*: status, headers, and pieces of bytes with the second at which each is due. Whole
  answers have one piece, streams have many. `delivery.py` alone plays replies onto a connection.
- **A fault is a change to a reply.** A scenario rule or a magic model name picks a fault; the
  fault is a function from reply to reply (or to silence), so every fault works on every endpoint,
  whole and streamed.
- **Answers depend on the prompt and on nothing else.** The same model, messages and seed give the
  same text, token counts and times. Only ids and limits differ from call to call.
- **Time is a parameter.** Limits, pacing, batches and cache expiry follow one clock: the real one
  times `speed`, or a virtual one that tests move.

- **A dialect is a row of a table.** Answers, checks, faults and time are common; `tongues.py` has
  what sets the providers apart. Problems are raised as Groq's and told in the dialect's words at
  the one place where they become replies.

`app.py` opens it; `catalogue.py` holds the facts about models, `problems.py` those about errors.
"""
