import csv, sys
sys.path.insert(0, "/tmp")
from charges import by_operation, operations

listed = {row["operation"] for row in csv.DictReader(open("/workspace/out/refunds.csv"))}
timeouts = {line.split("timeout for ")[1].split()[0] for line in open("/var/log/pay/app.log") if "gateway timeout" in line}
for name, some in (("listed", listed), ("others", set(operations) - listed)):
    dues = [operations[o][3] for o in some]
    print(name, len(some), "- with a timeout:", len(some & timeouts), "- due", min(dues), "to", max(dues))
groups = by_operation()
for operation in sorted(listed, key=lambda o: groups[o][0].at)[:: max(1, len(listed) // 10)]:
    print(operation, *operations[operation][1:], "captured", " and ".join(c.at[5:23] for c in groups[operation]))
