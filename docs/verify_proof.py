"""Check a ledger proof offline, trusting nobody: python verify_proof.py proof.ndjson
[--key HEX-or-FILE.pem] [--checkpoint FILE.json]. Python 3.11, nothing else; see ledger-proof.md.
Prints OK and what was shown (exit code 0), or the first broken step (exit code 1)."""

# fmt: off
import argparse, base64, hashlib, json, re, sys

NAMES = "issued pending available reserved frozen used expired reversed owed".split()
P, Q = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D, ROOT = -121665 * pow(121666, -1, P) % P, pow(2, (P - 1) // 4, P)

def need(fits, step): fits or sys.exit(f"BROKEN: {step}")
def read(name): return open(name, encoding="utf-8").read()
def sha(data): return hashlib.sha256(data).digest()
def canon(*parts):
    return b"".join(b"%d:%b," % (len(text), text) for text in (str("" if part is None else part).encode() for part in parts))

def add(a, b):  # Ed25519 (RFC 8032, 5.1.4); a point is X, Y, Z, T
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = f - e, h - g, h + g, f + e
    return e * f % P, g * h % P, f * g % P, e * h % P
def times(n, point, total=(0, 1, 1, 0)):
    while n: total, point, n = add(total, point) if n & 1 else total, add(point, point), n >> 1
    return total
def unpack(data):
    y, sign = (number := int.from_bytes(data, "little")) & (1 << 255) - 1, number >> 255
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if (x * x - square) % P == 0 else x * ROOT % P
    if y >= P or (x * x - square) % P or (x == 0 and sign): raise ValueError
    x = x if x & 1 == sign else P - x
    return x, y, 1, x * y % P
BASE = unpack((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
def signed(key, signature, payload):
    try: a, r, s = unpack(key), unpack(signature[:32]), int.from_bytes(signature[32:], "little")
    except ValueError: return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + payload).digest(), "little") % Q
    one, two = times(s, BASE), add(r, times(k, a))
    return s < Q and not any((one[n] * two[2] - two[n] * one[2]) % P for n in (0, 1))
def read_key(told):
    if re.fullmatch("[0-9a-fA-F]{64}", told): return told.lower()
    return base64.b64decode(re.search("BEGIN PUBLIC KEY-----(.+?)-----END", read(told), re.S)[1])[-32:].hex()

def check_transactions(head, rows):
    held, hashes, chain, seq = {(u, b): n for u, b, n in head["opening"]}, {}, head["previous"], head["from"] - 1
    need(seq or (not held and chain == "0" * 64), "seq 1 must rest on nothing")
    for row in rows:
        need(row["seq"] == (seq := seq + 1), f"seq {seq} is missing")
        chain = hashes[seq] = sha(canon("credit-ledger-v1", chain, head["book_id"], seq, *(row[name] for name in
            "kind effective_on recorded_at business_key fingerprint actor reason_code".split()), len(row["moves"]),
            *sum(row["moves"], []), len(row["dates"]), *sum(row["dates"], []))).hex()
        need(chain == row["hash"], f"seq {seq} does not have its hash")
        for unit, credit, source, target, count, _ in row["moves"]:
            need(all(type(one) is int for one in (unit, source, target, count)), f"seq {seq}: a move is not in numbers")
            held[unit, source] = held.get((unit, source), 0) - count
            held[unit, target] = held.get((unit, target), 0) + count
            if credit and credit == head["credit_id"]:
                print(f"  {row['effective_on']} seq {seq}: {credit} {NAMES[source]} -> {NAMES[target]}")
        need(all(n <= 0 if b in (0, 8) else n >= 0 for (_, b), n in held.items()), f"seq {seq}: a balance cannot be so")
    need(seq == head["told"] >= head["to"] >= head["from"], f"seq {seq + 1} is missing")
    held = {at: n for at, n in held.items() if n}
    need(held == {(u, b): n for u, b, n in head["closing"]}, f"seq {seq}: the balances are not what the moves make")
    return hashes, held

def check_checkpoints(rest, rows, keys):
    found, n = {}, rows[0]["n"] - 1
    need(n > 0 or rest == "0" * 64, "checkpoint 1 must rest on nothing")
    for row in rows:
        need(row["n"] == (n := n + 1), f"checkpoint {n} is missing")
        rest = sha(b"\2" + bytes.fromhex(rest) + canon("cp-v1", n, row["built_at"], row["leaf_count"], row["root"])).hex()
        need(rest == row["chain"], f"checkpoint {n} does not have its hash")
        key, signature = bytes.fromhex(keys.get(row["key_id"], "")), bytes.fromhex(row["signature"])
        need(signed(key, signature, canon("ledger-checkpoint-v1", n, rest)), f"checkpoint {n} is not signed by its key")
        found[n] = row
    return found

def check_anchor(head, anchor, hashes, found):
    seq, n, place, path = anchor["seq"], anchor["n"], anchor["place"], [bytes.fromhex(one) for one in anchor["path"]]
    need(n in found, f"checkpoint {n} is missing")
    need(hashes.get(seq) == anchor["head_hash"], f"seq {seq} is not what checkpoint {n} holds")
    made, last = sha(b"\0" + canon("head-v1", head["book_id"], seq, anchor["head_hash"])), found[n]["leaf_count"] - 1
    while last > 0:
        if place % 2 or place < last:
            other = path.pop(0) if path else b""
            made = sha(b"\1" + (other + made if place % 2 else made + other))
        place, last = place // 2, last // 2
    need(not path and place == last == 0 and made.hex() == found[n]["root"], f"seq {seq} does not lead to the root of checkpoint {n}")

def main(told):
    lines = [json.loads(line) for line in read(told.proof).splitlines()]
    need(lines and lines[-1] == {"end": len(lines)}, "the file is cut off")
    head, by = lines[0], lambda name: [line[name] for line in lines if name in line]
    need(head.get("format") == "ledger-proof-v1", "not a ledger proof")
    hashes, held = check_transactions(head, [line for line in lines if "business_key" in line])
    found = check_checkpoints(by("checkpoints_rest_on")[0], by("checkpoint"), head["keys"]) if by("checkpoint") else {}
    for anchor in by("anchor"): check_anchor(head, anchor, hashes, found)
    need(by("anchor") or not found, "there are checkpoints, and none of them holds this book")
    newest = head["keys"][found[max(found)]["key_id"]] if found else "nobody"
    need(not told.key or newest in map(read_key, told.key), f"the newest checkpoint is signed by {newest}, not by the key you named")
    for kept in (json.loads(read(name)) for name in told.checkpoint):
        need(found.get(kept["n"]) == kept, f"checkpoint {kept['n']} is not the one you kept")
    through = max((anchor["seq"] for anchor in by("anchor")), default=0)
    print(f"OK: book {head['book_id']}, seq {head['from']} to {head['told']}, " + (f"in a checkpoint through seq {through}" if through else "not yet in a checkpoint"))
    print("balances:", ", ".join(f"{NAMES[b]}{' points' * (u == 2)} {n}" for (u, b), n in sorted(held.items())) or "all zero")
    print(f"newest checkpoint {max(found, default=0)}, signed by {newest}" + ("" if told.key else ": compare it with /.well-known/ledger-keys.json"))

if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("proof")
    for option in ("--key", "--checkpoint"): asked.add_argument(option, action="append", default=[])
    try: main(asked.parse_args())
    except (ValueError, LookupError, TypeError, AttributeError, OSError) as why: need(False, f"cannot be read ({type(why).__name__}: {why})")
