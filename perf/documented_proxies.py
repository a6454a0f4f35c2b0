"""The proxies of docs/deployment.md, as they stand there, before a Unix socket of a site."""

from __future__ import annotations

import re
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "deployment.md"


def block(beginning: str) -> str:
    """The one that begins with these words and a brace."""
    pattern = rf"```\w*\n({re.escape(beginning)} {{\n.*?)```"
    (found,) = re.findall(pattern, DOCUMENT.read_text(), re.DOTALL)
    return str(found)


def caddy(folder: Path, site: Path, port: int) -> list[str]:
    """The command that has Caddy listen on the port; its files go to ``folder``."""
    text = block("labels.example.org").replace("labels.example.org", f":{port}")
    text = text.replace("reverse_proxy 127.0.0.1:8000", f"reverse_proxy unix/{site}")
    (folder / "Caddyfile").write_text("{\n admin off\n auto_https off\n}\n" + text)
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def nginx(folder: Path, site: Path, port: int) -> list[str]:
    """The same with nginx."""
    text = re.sub(r"\n *ssl_.*", "", block("server"))
    text = text.replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
    text = text.replace("http://127.0.0.1:8000", f"http://unix:{site}:")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    around = f"daemon off;\npid {folder}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n"
    # Root's nginx gives its workers to nobody, who may not enter a private folder.
    user = "user root;\n" if Path("/proc/self").stat().st_uid == 0 else ""
    (folder / "conf").write_text(f"{user}{around}access_log off;\n{paths}{text}}}\n")
    return ["nginx", "-c", str(folder / "conf"), "-p", str(folder), "-e", "stderr"]
