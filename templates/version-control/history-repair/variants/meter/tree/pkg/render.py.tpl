"""Statements as text and for other programs."""

%% if csv
import csv
import io
%% end
%% if json
import json
%% end


%% if l5
def grand_total(statements):
    """What all accounts owe together."""
    return sum(statement["total"] for statement in statements)


%% end
%% if l2
def as_text(statements, currency=""):
%% else
def as_text(statements):
%% end
    """Statements for people."""
    rows = []
    for statement in statements:
        rows.append(statement["account"])
        for line in statement["lines"]:
            rows.append(f"  {line['kind']:<12} {line['quantity']:>10} {line['amount']:>10}")
%% if l2
        rows.append(f"  {'total':<12} {'':>10} {statement['total']:>10} {currency}".rstrip())
%% else
        rows.append(f"  {'total':<12} {'':>10} {statement['total']:>10}")
%% end
%% if l5
    rows.append(f"all accounts {grand_total(statements):>25}")
%% end
    return "\n".join(rows)
%% if json


def number(value):
    """A number as JSON has it."""
%% if format_x
    return str(value)
%% else
    return float(value)
%% end


%% if l2
def as_json(statements, explain=False, currency=""):
%% elif r1_later
def as_json(statements, explain=False):
%% else
def as_json(statements):
%% end
    """Statements as JSON; docs/formats.md has the fields."""
    accounts = []
    for statement in statements:
        lines = []
        for line in statement["lines"]:
            lines.append({"kind": line["kind"], "quantity": float(line["quantity"]), "amount": number(line["amount"])})
%% if r1_later
            if explain and "tier" in line:
                lines[-1]["tier"] = line["tier"]
%% end
        accounts.append({"account": statement["account"], "lines": lines, "total": number(statement["total"])})
%% if l1
        if "over" in statement:
            accounts[-1]["over"] = number(statement["over"])
%% end
    document = {"accounts": accounts}
%% if l2
    if currency:
        document["currency"] = currency
%% end
%% if l5
    document["grand_total"] = number(grand_total(statements))
%% end
    return json.dumps(document, indent=2)
%% end
%% if csv


def as_csv(statements):
    """Statements as CSV: a row for each line."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["account", "kind", "quantity", "amount"])
    for statement in statements:
        for line in statement["lines"]:
            writer.writerow([statement["account"], line["kind"], line["quantity"], line["amount"]])
    return out.getvalue().rstrip("\n")
%% end
