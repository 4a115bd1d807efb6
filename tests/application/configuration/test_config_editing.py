from __future__ import annotations

from fedcoin.application.configuration.config_editing import set_texts

TEXT = """# A home.
[api]
listen = "127.0.0.1:1"

[tls] # mutual
# The file.
# certificate = ""

[log]
# level = "info"
"""


def test_commented_defaults_are_replaced_and_the_rest_stays() -> None:
    changed = set_texts(TEXT, "tls", {"certificate": 'a "b".pem', "authority": "ca.pem"})
    assert changed == TEXT.replace(
        '[tls] # mutual\n# The file.\n# certificate = ""',
        '[tls] # mutual\nauthority = "ca.pem"\n# The file.\ncertificate = "a \\"b\\".pem"',
    )


def test_what_is_set_is_not_changed() -> None:
    assert set_texts(TEXT, "api", {"max": "1", "listen": "127.0.0.1:2"}) is None
    assert set_texts(TEXT, "log", {"listen": "x"}) == TEXT.replace("[log]", '[log]\nlisten = "x"')


def test_a_missing_table_is_added() -> None:
    assert set_texts("", "tls", {"certificate": "a"}) == '\n[tls]\ncertificate = "a"\n'
