package lint_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/lint"
)

func linted(text string, around lint.Environment) lint.Report {
	return lint.Run([]policy.Source{{Name: "policy.csv", Data: []byte(text)}}, around)
}

// codes gives what was found as "3:AG104 5:AG110".
func codes(r lint.Report) string {
	var all []string
	for _, f := range r.Findings {
		all = append(all, fmt.Sprintf("%d:%s", f.At.Line, f.Code))
	}
	return strings.Join(all, " ")
}

// complaints leaves out what is only worth knowing.
func warnings(r lint.Report) string {
	var all []string
	for _, f := range r.Findings {
		if f.Severity > lint.Info {
			all = append(all, fmt.Sprintf("%d:%s", f.At.Line, f.Code))
		}
	}
	return strings.Join(all, " ")
}

func TestLintFinds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ want, policy string }{
		"a deny that binds a role that inherits it": {"3:AG101", `
g, o:admins, role:admin
g, role:admin, role:viewer
p, role:viewer, u, /terminal/**, *, deny
p, role:viewer, u, /docs/**, GET, allow
p, role:admin, u, /**, *, allow`[1:]},
		"a deny of what every user holds": {"5:AG101", `
g, o:admins, role:admin
g, system:authenticated, role:viewer
# a comment
p, role:admin, u, /**, *, allow
p, role:viewer, u, /terminal/**, *, deny
p, role:viewer, u, /docs/**, GET, allow`[1:]},
		"a deny of what each team holds, against one of them": {"5:AG101", `
g, o:argo, role:admin
g, o:*, role:viewer
p, role:viewer, u, /docs/**, GET, allow
p, role:admin, u, /**, *, allow
p, role:viewer, u, /terminal/**, *, deny`[1:]},
		"a role that inherits both": {"5:AG101", `
g, o:leads, role:lead
g, role:lead, role:admin
g, role:lead, role:careful
p, role:admin, u, /**, *, allow
p, role:careful, u, /terminal/**, *, deny
g, o:argo, role:admin`[1:]},
		"no deny that was granted by name": {"", `
g, o:argo, role:admin
g, o:late, role:admin
g, o:late, role:frozen
p, role:admin, u, /**, *, allow
p, role:frozen, u, /deploy/**, POST, deny`[1:]},
		"no deny that was granted by name, with a role that inherits it": {"", `
g, role:lead, role:frozen
g, o:leads, role:lead
g, o:late, role:admin
g, o:late, role:frozen
g, o:other, role:frozen
p, role:admin, u, /deploy/**, POST, allow
p, o:other, u, /deploy/**, PUT, allow
p, role:frozen, u, /deploy/now/**, *, deny`[1:]},
		"no deny that cuts from its own role": {"", `
g, role:admin, role:viewer
g, o:a, role:admin
p, role:viewer, u, /**, GET, allow
p, role:viewer, u, /secrets/**, *, deny
p, role:admin, u, /new/**, POST, allow`[1:]},
		"no deny that cuts from a role that its own inherits": {"", `
g, role:admin, role:viewer
g, o:a, role:admin
g, role:viewer, role:base
p, role:base, u, /**, GET, allow
p, role:viewer, u, /secrets/**, *, deny
p, role:admin, u, /new/**, POST, allow`[1:]},
		"a deny for every user, as a note": {"3:AG102", `
g, o:argo, role:admin
p, role:admin, u, /**, *, allow
p, system:authenticated, u, /terminal/**, *, deny`[1:]},
		"a row of the same subject that is broader": {"2:AG103", `
p, o:a, u, /api/**, GET|POST, allow
p, o:a, u, /api/v1/*, GET, allow`[1:]},
		"a broader row of an inherited role, of every user, of the organisation": {"4:AG103 5:AG103 7:AG103", `
g, o:a, role:a
g, role:a, role:b
p, role:b, *, /b/**, *, allow
p, role:a, u, /b/x, GET, allow
p, role:b, u, /c/x, GET, allow
p, system:authenticated, u, /c/*, GET, allow
p, o:a, u, /d/x, HEAD, allow
p, o:*, u, /d/x, GET, allow`[1:]},
		"a broader row of the mail domain": {"1:AG103 5:AG108", `
p, user:a@x.com, u, /d/x, HEAD, allow
p, user:*@x.com, u, /d/x, GET, allow
p, role:r, u, /e, GET, allow
g, user:*@x.com, role:r
g, user:a@x.com, role:r
p, user:a@sub.x.com, u, /d/x, GET, allow`[1:]},
		"a deny for a mail domain, as a note": {"3:AG102", `
g, user:a@x.com, role:admin
p, role:admin, u, /**, *, allow
p, user:*@x.com, u, /terminal/**, *, deny`[1:]},
		"a deny for a user of a mail domain, and one for a user of none": {"3:AG105", `
p, user:*@x.com, u, /a/**, GET, allow
p, user:a@x.com, u, /a/b/**, GET, deny
p, user:a@y.com, u, /a/b/**, GET, deny`[1:]},
		"a mail domain that may change anything": {"1:AG109", "p, user:*@x.com, u, /**, *, allow"},
		"mail domains that look alike":           {"2:AG112", "p, user:*@example.com, u, /a, GET, allow\np, user:*@exmaple.com, u, /b, GET, allow\np, user:a@example.com, u, /c, GET, allow"},
		"a deny in a deny": {"3:AG103", `
p, o:a, u, /**, *, allow
p, o:a, u, /x/**, *, deny
p, o:a, u, /x/y, *, deny`[1:]},
		"the later of two rows that say the same": {"2:AG103", `
p, o:a, u, /x, GET|POST, allow
p, o:a, u, /x, POST|GET, allow`[1:]},
		"a row of one group that says what a later one says of all": {"1:AG103", "p, o:a, u, /x, GET, allow\np, system:authenticated, u, /x, GET, allow"},
		"no row that narrower ones cover, or others hold": {"", `
g, o:a, role:a
g, role:a, role:b
p, role:a, u, /**, *, allow
p, role:b, u, /b, GET, allow
p, role:b, u, /c, *, allow
p, role:b, u, /b, POST, allow`[1:]},
		"no row of a role that anonymous holds, for the sake of signed-in users": {"1:AG110", `
g, system:anonymous, role:page
p, role:page, u, /x, GET, allow
p, system:authenticated, u, /x, GET, allow`[1:]},
		"an allow that a deny takes away": {"2:AG104", `
p, o:a, u, /x/**, *, deny
p, o:a, u, /x/y, GET, allow
p, o:a, u, /**, GET, allow`[1:]},
		"an allow that a deny for every user takes away": {"1:AG104 3:AG102", `
p, o:a, u, /x/y, GET, allow
p, o:a, u, /**, POST, allow
p, system:authenticated, *, /x/**, *, deny`[1:]},
		"a deny of what no user is allowed": {"3:AG105", `
p, o:a, u, /x/**, GET, allow
p, o:a, u, /x/y, POST|PUT, allow
p, o:a, u, /x/y, DELETE, deny`[1:]},
		"a deny for anonymous, who is allowed nothing": {"2:AG105", `
p, o:a, u, /**, GET, allow
p, system:anonymous, u, /x, *, deny`[1:]},
		"a deny for one user of what another is allowed": {"2:AG105", `
p, user:a@x, u, /**, GET, allow
p, user:b@x, u, /x, GET, deny`[1:]},
		"no deny that binds users who pass as anonymous": {"1:AG110", `
p, system:anonymous, u, /x, GET, allow
p, o:a, u, /x, *, deny`[1:]},
		"methods that authgate refuses": {"1:AG106 2:AG106", `
p, o:a, u, /x, TRACE, allow
p, o:a, u, /y, GET|CONNECT, allow
p, o:a, u, /z, *, allow`[1:]},
		"a role without members": {"2:AG107", `
g, role:lonely, role:held
p, role:lonely, u, /x, GET, allow
p, role:held, u, /x/y, GET, allow
g, o:a, role:held`[1:]},
		"grants that change nothing": {"3:AG108 5:AG108 10:AG108", `
g, role:a, role:b
g, role:b, role:c
g, role:a, role:c
g, o:*, role:a
g, o:x, role:b
g, role:d, role:c
g, o:x, role:d
p, role:c, u, /x, GET, allow
p, role:d, u, /y, GET, allow
g, o:y, role:a`[1:]},
		"every user who may change anything": {"1:AG109 2:AG109 5:AG109", `
g, system:authenticated, role:a
g, o:*, role:a
p, role:a, u, /**, GET|POST, allow
p, role:a, v, /x/**, *, allow
p, p:*, v, /**, *, allow`[1:]},
		"every user who may change anything but the top": {"1:AG109", "p, system:authenticated, u, /*/**, *, allow\np, p:*, v, /x*/**, *, allow"},
		"a role of two imports": {"5:AG130", `
# authgate:import argocd
g, example-org:argo, role:admin
p, role:admin, argocd, /api/v1/**, *, allow
# authgate:import workflows
p, role:admin, workflows, /api/v1/**, *, allow
`[1:]},
		"roles of two imports, apart": {"", `
# authgate:import argocd
g, example-org:argo, role:a
p, role:a, argocd, /api/v1/**, *, allow
# authgate:import workflows
g, example-org:argo, role:b
p, role:b, workflows, /api/v1/**, *, allow
`[1:]},
		"every user who may read everything, as a note": {"1:AG118 2:AG118", `
p, system:authenticated, u, /**, GET|HEAD, allow
g, o:*, role:a
p, role:a, *, /**, GET, allow
p, p:*, v, /x/**, POST, allow
p, o:a, v, /*/**, POST, allow`[1:]},
		"what needs no login": {"1:AG110 2:AG110 3:AG111 4:AG111 5:AG111 6:AG110 8:AG110", `
p, system:anonymous, u, /webhook, POST, allow
p, system:anonymous, u, /api/dex/**, *, allow
p, system:anonymous, u, /api/**, POST, allow
p, system:anonymous, v, /**, GET, allow
g, system:anonymous, role:open
p, system:anonymous, w, /*.js, GET, allow
p, role:open, x, /*/**, GET, allow
p, system:anonymous, w, /assets/**, GET, allow`[1:]},
		"names that are slips": {"2:AG112 4:AG112 6:AG112 7:AG112 9:AG112", `
g, example-org:platform, role:a
g, example-org:platfrom, role:b
g, example-org:argo, role:a
g, example-org:Argo, role:b
g, example-org:site_reliability, role:b
g, example-org:site-reliability, role:a
g, exampel-org:dev, role:a
g, user:a@example.com, role:a
g, user:b@exmaple.com, role:a
p, role:a, u, /a, GET, allow
p, role:b, u, /b, GET, allow`[1:]},
		"groups without an organisation": {"3:AG112", `
g, platform, role:a
g, ops, role:b
g, platfrom, role:b
p, role:a, u, /a, GET, allow
p, role:b, u, /b, GET, allow`[1:]},
		"the rarer of two names": {"1:AG112", `
g, o:platfrom, role:a
g, o:platform, role:a
g, o:platform, role:b
p, role:a, u, /a, GET, allow
p, role:b, u, /b, GET, allow`[1:]},
		"no slips where both are in use": {"", `
p, o:platform, u, /a, GET, allow
p, o:platform, u, /b, GET, allow
p, o:platform, u, /c, GET, allow
p, o:platforms, u, /a, GET, allow
p, o:platforms, u, /b, GET, allow
p, o:platforms, u, /c, GET, allow`[1:]},
		"no names that people give on purpose": {"", `
g, o:team-1, role:a
g, o:team-2, role:a
g, o:team-12, role:a
g, o:team-a, role:a
g, o:team-b, role:a
g, o:cluster1, role:a
g, o:cluster2, role:a
g, o:store, role:a
g, o:stone, role:a
g, o:dev, role:a
g, o:ops, role:a
g, o:qa, role:a
g, o:west, role:a
g, o:east, role:a
g, o:test, role:a
g, o:reader, role:a
g, o:leader, role:a
g, o:prod-writer, role:a
g, o:dev-writer, role:a
g, q:dev, role:a
g, user:eve@example.com, role:a
g, user:eva@example.com, role:a
p, role:a, u, /a, GET, allow`[1:]},
		"an upstream's name that is a slip": {"3:AG117", `
p, o:a, argocd, /a, GET, allow
p, o:a, argocd, /b, GET, allow
p, o:a, argcod, /c, GET, allow`[1:]},
		"methods that no registry knows": {"1:AG113", "p, o:a, u, /x, GET|PURGE, allow\np, o:b, u, /x, PROPFIND|REPORT, allow"},
		"a deny of one spelling": {"2:AG114", `
p, o:a, u, /v1/**, *, allow
p, o:a, u, /v1/job:cancel/**, *, deny
p, o:a, u, /v1/x:y/**, *, deny
p, o:a, u, /v1/x%3Ay/**, *, deny`[1:]},
		"an allow of one spelling, as a note": {"1:AG115", "p, o:a, u, /v1/job:cancel, POST, allow\np, o:b, u, /x@y, POST, allow\np, o:b, u, /x%40y, POST, allow"},
		"no other slash that another person is allowed": {"", `
p, o:a, u, /x, GET|POST, allow
p, o:a, u, /x, GET, deny
p, o:b, u, /x/, GET, allow`[1:]},
		"a deny of one slash": {"2:AG116 3:AG116", `
p, o:a, u, /**, *, allow
p, o:a, u, /x, *, deny
p, o:a, u, /y/, *, deny
p, o:a, u, /z/**, *, deny
p, o:a, u, /q, *, deny
p, o:a, u, /q/, *, deny`[1:]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := linted(c.policy, lint.Environment{})
			shown := codes(got)
			if !strings.Contains(c.want, "AG102") && !strings.Contains(c.want, "AG108") && !strings.Contains(c.want, "AG11") {
				shown = warnings(got)
			}
			if shown != c.want {
				t.Errorf("found %q, want %q:\n%+v", shown, c.want, got.Findings)
			}
		})
	}
}

// Not every issuer's groups are teams of an organisation.
func TestAGroupWithoutAnOrganisationIsCalledAGroup(t *testing.T) {
	t.Parallel()
	report := linted("p, platform, u, /a, GET, allow\np, platfrom, u, /b, GET, allow", lint.Environment{})
	if len(report.Findings) != 1 || !strings.HasPrefix(report.Findings[0].Message, `group "platfrom" looks like "platform"`) {
		t.Errorf("found %+v", report.Findings)
	}
}

func TestCommentsSilenceTheRowBelow(t *testing.T) {
	t.Parallel()
	const rows = "p, o:a, u, /**, GET, allow\n%sp, o:a, u, /v1/a:b, *, deny\np, o:a, u, /v1/c, *, deny"
	for comments, want := range map[string]string{
		"":                                      "2:AG114 2:AG116 3:AG116",
		"# authgate:ignore AG114 meant\n":       "3:AG116 4:AG116",
		"# authgate:ignore AG114,AG116 meant\n": "4:AG116",
		"# authgate:ignore AG116,AG114 meant\n# and more words\n":        "5:AG116",
		"# authgate:ignore AG114 meant\n# authgate:ignore AG116 alike\n": "5:AG116",
		"\t#  authgate:ignore  AG114   meant\n":                          "3:AG116 4:AG116",
		"# authgate:ignore AG114 meant\n\n":                              "2:AG191 4:AG114 4:AG116 5:AG116",
		"# authgate:ignore AG114\n":                                      "2:AG190 3:AG114 3:AG116 4:AG116",
		"# authgate:ignore AG114, AG116 meant\n":                         "2:AG190 3:AG114 3:AG116 4:AG116",
		"# authgate:ignore AG103 meant\n":                                "2:AG191 3:AG114 3:AG116 4:AG116",
		"# authgate:ignore AG106 only with a configuration\n":            "3:AG114 3:AG116 4:AG116",
		"# authgate:ignore AG117 only without\n":                         "2:AG191 3:AG114 3:AG116 4:AG116",
		"# authgate:ignores AG114 meant\n":                               "2:AG190 3:AG114 3:AG116 4:AG116",
		"# see authgate:ignore AG114\n":                                  "3:AG114 3:AG116 4:AG116",
		"# authgate: who may do what\n":                                  "3:AG114 3:AG116 4:AG116",
		"# authgate: ignore AG114 meant\n":                               "2:AG190 3:AG114 3:AG116 4:AG116",
	} {
		if got := codes(linted(fmt.Sprintf(rows, comments), lint.Environment{})); got != want {
			t.Errorf("under %q: %s, want %s", comments, got, want)
		}
	}
	known := lint.Environment{Upstreams: []string{"u"}}
	const both = "# authgate:ignore AG106,AG117 one with a configuration, one without\np, o:a, u, /x, GET, allow"
	if got := codes(linted(both, known)); got != "1:AG191" {
		t.Errorf("with a configuration: %s", got)
	}
	if got := codes(linted(both, lint.Environment{})); got != "1:AG191" {
		t.Errorf("without: %s", got)
	}
}

func TestFindingsOfSeveralFilesComeInTheirOrder(t *testing.T) {
	t.Parallel()
	report := lint.Run([]policy.Source{
		{Name: "z.csv", Data: []byte("p, o:a, u, /x, GET, allow\np, o:a, u, /y, TRACE, allow")},
		{Name: "a.csv", Data: []byte("p, o:a, u, /z, TRACE, allow\np, o:a, u, /**, GET, allow")},
	}, lint.Environment{})
	var got []string
	for _, f := range report.Findings {
		got = append(got, f.At.String()+" "+f.Code)
	}
	want := "z.csv:1:1 AG103 z.csv:2:1 AG106 a.csv:1:1 AG106"
	if shown := strings.Join(got, " "); shown != want {
		t.Errorf("found %s, want %s", shown, want)
	}
}

func TestFaultsAreTheFindingsOfAPolicyThatDoesNotLoad(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a cycle":                       "g, role:a, role:b\ng, role:b, role:a\np, role:a, u, /x, GET, allow",
		"a member that reaches nothing": "g, o:a, role:b\np, o:a, u, /x, GET, allow",
		"an upstream that is not known": "p, o:a, v, /x, GET, allow",
		"nothing":                       "# authgate:ignore AG001 at all",
	} {
		report := linted(text, lint.Environment{Upstreams: []string{"u"}})
		if report.Faults == nil || report.Hash != "" || len(report.Findings) != 1 || report.Findings[0].Code != "AG001" || report.Findings[0].Severity != lint.Error {
			t.Errorf("%s: %+v", name, report)
		}
	}
}

func TestAStrippedPrefixIsAllowedWithAndWithoutASlash(t *testing.T) {
	t.Parallel()
	around := lint.Environment{Upstreams: []string{"u", "v"}, StripPrefix: map[string]string{"u": "/sub"}}
	for text, want := range map[string]string{
		"p, o:a, u, /sub, GET, allow":                                   "1:AG119",
		"p, o:a, u, /sub/, GET, allow":                                  "1:AG119",
		"p, o:a, u, /sub, GET, allow\np, o:a, u, /sub/, GET, allow":     "",
		"p, o:a, u, /sub, GET, allow\np, o:a, u, /sub/, POST, allow":    "1:AG119 2:AG119",
		"p, o:a, u, /sub/**, GET, allow":                                "",
		"p, o:a, u, /sub/*, GET, allow":                                 "",
		"p, o:a, v, /sub, GET, allow":                                   "",
		"p, o:a, u, /sub/x, GET, allow\np, o:a, u, /sub/y/, GET, allow": "",
	} {
		if got := codes(linted(text, around)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
