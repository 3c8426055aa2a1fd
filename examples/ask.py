"""ask.py URL CA_FILE TOKEN_ID SECRET_FILE STATUS PATH: GET PATH as a token, expecting STATUS."""

import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path

url, ca_file, token, secret_file, expected, path = sys.argv[1:]
secret = Path(secret_file).read_text().strip()
request = urllib.request.Request(
    f"{url}/api2/json{path}", headers={"Authorization": f"PVEAPIToken={token}={secret}"}
)
context = ssl.create_default_context(cafile=ca_file)
opener = urllib.request.build_opener(
    urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
)
try:
    with opener.open(request, timeout=30) as answer:
        status, reason = answer.status, answer.reason
except urllib.error.HTTPError as error:
    status, reason = error.code, error.reason
print(f"{token} GET {path}: {status} {reason}")
sys.exit(str(status) != expected)
