"""The report as one HTML file that needs no other: verdict, timeline, kills, answers."""

from html import escape

from proof.evidence import TAKEN, Evidence
from proof.timeline import timeline

STYLE = """
:root{--ink:#1c2430;--dim:#667085;--line:#e4e7ec;--paper:#fff;--back:#f5f6f8;--work:#1f8a70;--cut:#d92d20;--kill:#f0a39b;
--down:#dfe3ea;--wait:#f5c451;--good:#0f7b5f;--bad:#b42318;--mark:#475467}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--dim:#98a2b3;--line:#2c3442;--paper:#171c26;--back:#0f131a;
--work:#35b597;--cut:#ff6b5e;--kill:#8f3a33;--down:#262e3b;--wait:#d9a62e;--good:#3ecf9f;--bad:#ff8a80;--mark:#8894a8}}
*{box-sizing:border-box}body{margin:0;background:var(--back);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1240px;margin:0 auto;padding:28px 20px 48px}h1{font-size:26px;line-height:1.25;margin:0 0 4px}
h2{font-size:17px;margin:0 0 10px}.lead{color:var(--dim);margin:0 0 20px;max-width:80ch}
.card{background:var(--paper);border:1px solid var(--line);border-radius:10px;padding:18px 20px;margin:0 0 18px;
overflow-x:auto}.good{color:var(--good)}.bad{color:var(--bad)}ul{margin:8px 0 0;padding-left:20px}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:12px;margin:0 0 18px}
.figures div{background:var(--paper);border:1px solid var(--line);border-radius:10px;padding:12px 16px}
.figures b{display:block;font-size:24px;line-height:1.2}.figures span{color:var(--dim);font-size:13px}
svg{display:block;width:100%;min-width:760px;height:auto;font:10px system-ui,sans-serif}.axis{fill:var(--dim)}
.grid{stroke:var(--line)}.base{stroke:var(--dim)}.down{fill:var(--down);opacity:.75}
.kill{stroke:var(--mark);stroke-dasharray:3 3}.kill.inside{stroke:var(--kill);stroke-dasharray:none;stroke-width:1.5}
.mark circle{fill:var(--mark)}.mark.inside circle{fill:var(--cut)}.mark text{fill:var(--paper);font-weight:600}
.work{fill:var(--work)}.work.cut{fill:var(--cut)}.wait{fill:var(--wait)}.reply circle{stroke:var(--ink)}
.reply.taken circle{fill:var(--ink)}.reply.taken text{fill:var(--paper)}.reply.refused circle{fill:var(--paper)}
.reply.refused text{fill:var(--ink)}.key{display:flex;flex-wrap:wrap;gap:6px 20px;margin:12px 0 0;color:var(--dim);
font-size:13px}.key i{display:inline-block;width:14px;height:10px;border-radius:2px;margin-right:7px}
.key i.dot{width:11px;height:11px;border-radius:50%;border:1px solid var(--ink)}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:5px 14px 5px 0;
border-bottom:1px solid var(--line);
vertical-align:top}th{color:var(--dim);font-weight:500;font-size:13px}tr:last-child td{border-bottom:0}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
""".strip()

KEY = (
    ("--work", "", "a node at work"),
    ("--cut", "", "cut off by a kill"),
    ("--wait", "", "waits for an answer"),
    ("--down", "", "no host"),
    ("--ink", "dot", "an answer that was taken"),
    ("--paper", "dot", "the other terminal's, refused"),
)


def page(seen: Evidence, findings: list[str]) -> str:
    """The whole file."""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>durablegraph: {len(seen.kills)} kills, seed {seen.seed}</title><style>{STYLE}</style></head><body><main>
{_verdict(seen, findings)}
{_figures(seen)}
<section class="card"><h2>Super-steps over time</h2>
{timeline(seen)}
<div class="key">{"".join(_key(*each) for each in KEY)}
<span>numbers: the kills, red ones inside an activity</span></div></section>
<section class="card"><h2>The kills</h2>{_kills(seen)}</section>
<section class="card"><h2>The answers, from two terminals at once</h2>{_replies(seen)}</section>
<p class="lead">The same plan of kills again: <code>make proof SEED={seen.seed} KILLS={seen.planned}</code></p>
</main></body></html>
"""


def _key(color: str, kind: str, text: str) -> str:
    return f'<span><i class="{kind}" style="background:var({color})"></i>{text}</span>'


def _verdict(seen: Evidence, findings: list[str]) -> str:
    kills = len(seen.kills)
    what = f"A LangGraph run of 40 super-steps. Its host was killed {kills} times with SIGKILL, every process of it."
    if findings:
        items = "".join(f"<li>{escape(finding)}</li>" for finding in findings)
        return f'<h1 class="bad">Not proven</h1><p class="lead">{what}</p><div class="card"><ul>{items}</ul></div>'
    claim = (
        "The state and every checkpoint equal plain <code>invoke</code>'s, each answer was used exactly once, "
        "and no node of a committed super-step ran again."
    )
    title = '<h1><span class="good">Proven:</span> it ended as if nothing had happened</h1>'
    return f'{title}<p class="lead">{what} {claim}</p>'


def _figures(seen: Evidence) -> str:
    begun = sum(note.kind == "begin" for note in seen.notes)
    recovered = sorted(kill.recovered for kill in seen.kills) or [0.0]
    figures = (
        (len(seen.kills), "kills"),
        (sum(kill.inside for kill in seen.kills), "inside an activity"),
        (begun, "executions of nodes"),
        (f"{recovered[len(recovered) // 2]:.1f} s", "until the run went on, median"),
        (f"{seen.ended - seen.began:.0f} s", "in all"),
        (seen.seed, "seed"),
    )
    shown = "".join(f"<div><b>{value}</b><span>{name}</span></div>" for value, name in figures)
    return f'<div class="figures">{shown}</div>'


def _kills(seen: Evidence) -> str:
    rows = "".join(
        f'<tr><td class="n">{kill.number}</td><td class="n">{kill.at - seen.began:.1f} s</td>'
        f'<td>{escape(kill.where)}</td><td class="n">{max(kill.committed, 0)}</td>'
        f'<td class="n">{kill.back:.1f} s</td><td class="n">{kill.recovered:.1f} s</td></tr>'
        for kill in seen.kills
    )
    return (
        '<table><thead><tr><th class="n">kill</th><th class="n">at</th><th>where</th>'
        '<th class="n">committed by then</th><th class="n">host back after</th><th class="n">run goes on after</th>'
        f"</tr></thead><tbody>{rows}</tbody></table>"
    )


def _replies(seen: Evidence) -> str:
    rows = "".join(
        f"<tr><td>{escape(reply.question)}</td><td>{escape(reply.terminal)}</td>"
        f"<td>{'taken' if reply.status == TAKEN else 'refused'}, {reply.status} {escape(reply.code)}</td>"
        f'<td class="n">{reply.broken}</td></tr>'
        for reply in seen.replies
    )
    return (
        "<table><thead><tr><th>question</th><th>terminal</th><th>was told</th>"
        f'<th class="n">connections that broke</th></tr></thead><tbody>{rows}</tbody></table>'
    )
