"""Every knob: what may be written, what it means, and what is in force.

- The sections of the YAML file are pydantic models in `settings.py`, in the order of the file:
  strict and frozen. An unknown key is an error; the meaning of a knob is its `description`.
- What people write as text (`1d`, `10MB`, `5 USD/day`, `HOST:PORT`) is read once, in `units.py` and
  `names.py`, and becomes a value that prints as the same text again.
- A file (`document.py`) and the environment (`environment.py`) both give plain trees; `load.py`
  lays one over the other and makes a `Config` of them, whole or not at all. So a reload is one
  assignment.
- What the environment sets in vain is told at the start (`notices.py`), never silently ignored.
- The default file and the README's table come from the models (`template.py`): they cannot drift.
- A secret is a `SecretStr`, and no error quotes one (`errors.py`).
"""
