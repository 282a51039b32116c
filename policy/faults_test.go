package policy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy"
)

const sound = "p, role:viewer, argocd, /**, GET, allow\n"

// Each of these loads silently, panics or loses its place with casbin's own
// reader, or is a slip that would match nothing.
func TestEveryFaultSaysWhereAndHowToFixIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"effect in capitals", "p, role:viewer, argocd, /**, GET, Allow", []string{
			`policy.csv:1:35: effect "Allow" is not known; write "allow"`,
		}},
		{"misspelt effect", "p, role:viewer, argocd, /**, GET, alow", []string{
			`policy.csv:1:35: effect "alow" is not known; write "allow"`,
		}},
		{"effect of another language", "p, role:viewer, argocd, /**, GET, permit", []string{
			`policy.csv:1:35: effect "permit" is not known; write "allow" or "deny"`,
		}},
		{"comment after a row", "p, role:viewer, argocd, /**, GET, allow # all of it", []string{
			"policy.csv:1:41: a comment follows the row; give it a line of its own, or quote the field",
		}},
		{"comment with a comma after a row", "p, role:viewer, argocd, /**, GET, allow # yes, all", []string{
			"policy.csv:1:41: a comment follows the row; give it a line of its own, or quote the field",
		}},
		{"comment glued to a row", "p, role:viewer, argocd, /**, GET, allow#all", []string{
			`policy.csv:1:35: effect "allow#all" is not known; write "allow" or "deny"`,
		}},
		{"space before a comma", "p, role:viewer , argocd, /**, GET, allow", []string{
			"policy.csv:1:15: space before the comma; take it away, or run authgate policy fmt",
		}},
		{"tab before a comma", "p, role:viewer\t, argocd, /**, GET, allow", []string{
			"policy.csv:1:15: space before the comma; take it away, or run authgate policy fmt",
		}},
		{"tab inside a field", "p, a\tb, argocd, /**, GET, allow", []string{
			"policy.csv:1:5: a tab inside a field; separate fields by commas",
		}},
		{"too few fields", "p, role:viewer, argocd, /**, GET", []string{
			`policy.csv:1:1: a p row has 6 fields and this one 5; write "p, subject, upstream, path, method, effect", several methods as GET|POST`,
		}},
		{"too many fields", "p, role:viewer, argocd, /**, GET, POST, allow", []string{
			`policy.csv:1:41: a p row has 6 fields and this one 7; write "p, subject, upstream, path, method, effect", several methods as GET|POST`,
		}},
		{"kind alone", "p", []string{
			`policy.csv:1:1: a p row has 6 fields and this one 1; write "p, subject, upstream, path, method, effect", several methods as GET|POST`,
		}},
		{"g with a tenant", sound + "g, example-org:argo, role:viewer, tenant", []string{
			`policy.csv:2:35: a g row has 3 fields and this one 4; write "g, member, role"`,
		}},
		{"g without a role", sound + "g, example-org:argo", []string{
			`policy.csv:2:1: a g row has 3 fields and this one 2; write "g, member, role"`,
		}},
		{"empty subject", "p, , argocd, /**, GET, allow", []string{
			`policy.csv:1:4: subject is empty; write "p, subject, upstream, path, method, effect", several methods as GET|POST`,
		}},
		{"empty last field", "p, role:viewer, argocd, /**, GET,", []string{
			`policy.csv:1:34: effect is empty; write "p, subject, upstream, path, method, effect", several methods as GET|POST`,
		}},
		{"empty quoted field", `p, "", argocd, /**, GET, allow`, []string{
			`policy.csv:1:4: subject is empty; write "p, subject, upstream, path, method, effect", several methods as GET|POST`,
		}},
		{"empty member", sound + "g, , role:viewer", []string{
			`policy.csv:2:4: member is empty; write "g, member, role"`,
		}},
		{"empty role", sound + "g, a,", []string{
			`policy.csv:2:6: role is empty; write "g, member, role"`,
		}},
		{"leading comma", sound + ", role:viewer, argocd, /**, GET, allow", []string{
			"policy.csv:2:1: the first field is empty; begin the line with p or g, or with # for a comment",
		}},
		{"comma alone", ",", []string{
			"policy.csv:1:1: the first field is empty; begin the line with p or g, or with # for a comment",
		}},
		{"byte order mark", "\ufeffp, role:viewer, argocd, /**, GET, allow\n", []string{
			"policy.csv:1:1: the file begins with a byte order mark; save it as UTF-8 without BOM, or run authgate policy fmt",
		}},
		{"byte order mark and a fault after it", "\ufeffp, role:viewer, argocd, /**, GET, alow", []string{
			"policy.csv:1:1: the file begins with a byte order mark; save it as UTF-8 without BOM, or run authgate policy fmt",
			`policy.csv:1:38: effect "alow" is not known; write "allow"`,
		}},
		{"UTF-16", "\xff\xfep\x00,\x00", []string{
			"policy.csv:1:1: the file is UTF-16; save it as UTF-8 without BOM",
		}},
		{"Windows line ends, said once", "p, role:viewer, argocd, /**, GET, allow\r\np, role:viewer, workflows, /**, GET, allow\r\n", []string{
			"policy.csv:1:40: the line ends in CR LF; save the file with Unix line ends (LF), or run authgate policy fmt",
		}},
		{"old Macintosh line ends", "p, role:viewer, argocd, /**, GET, allow\rp, role:viewer, workflows, /**, GET, allow", []string{
			"policy.csv:1:40: the line holds a carriage return (CR); end each line with LF alone",
		}},
		{"CR hides a row in a comment", sound + "# harmless\rp, role:viewer, argocd, /x, GET, deny", []string{
			"policy.csv:2:11: the line holds a carriage return (CR); end each line with LF alone",
		}},
		{"NUL", "p, role:viewer\x00, argocd, /**, GET, allow", []string{
			"policy.csv:1:15: the line holds the invisible character U+0000; remove it",
		}},
		{"not UTF-8", "p, role:viewer\xff, argocd, /**, GET, allow", []string{
			"policy.csv:1:15: the line is not valid UTF-8; save the file as UTF-8",
		}},
		{"no-break space", "p,\u00a0role:viewer, argocd, /**, GET, allow", []string{
			"policy.csv:1:3: the line holds the invisible character U+00A0; remove it",
		}},
		{"text turned around", "p, role:\u202eviewer, argocd, /**, GET, allow", []string{
			"policy.csv:1:9: the line holds the invisible character U+202E; remove it",
		}},
		{"quote inside a field", `p, role:"viewer", argocd, /**, GET, allow`, []string{
			`policy.csv:1:9: a quote inside a field that does not begin with one; quote the whole field and double the quotes in it: "a ""b"" c"`,
		}},
		{"quote not closed", `p, "role:viewer, argocd, /**, GET, allow`, []string{
			"policy.csv:1:41: a quoted field does not end, or continues after its quote; close the quote on the same line, right before the comma",
		}},
		{"quoted field over two lines", "p, \"role:viewer\n\", argocd, /**, GET, allow", []string{
			"policy.csv:1:16: a quoted field does not end, or continues after its quote; close the quote on the same line, right before the comma",
			"policy.csv:2:27: a quoted field does not end, or continues after its quote; close the quote on the same line, right before the comma",
		}},
		{"space after a quoted field", `p, "role:viewer" , argocd, /**, GET, allow`, []string{
			"policy.csv:1:16: a quoted field does not end, or continues after its quote; close the quote on the same line, right before the comma",
		}},
		{"long line", "# " + strings.Repeat("x", 64<<10), []string{
			"policy.csv: the policy has no rows; add p and g rows; an empty file is most often a failed write",
			"policy.csv:1:1: the line is longer than 65536 bytes; make several rows of it",
		}},
		{"kind in capitals", "P, role:viewer, argocd, /**, GET, allow", []string{
			`policy.csv:1:1: row kind "P" is not known; write p`,
		}},
		{"numbered kind", "p2, role:viewer, argocd, /**, GET, allow", []string{
			`policy.csv:1:1: row kind "p2" is not known; begin the line with p or g, or with # for a comment`,
		}},
		{"definition of a model", "m, foo", []string{
			`policy.csv:1:1: row kind "m" is not known; begin the line with p or g, or with # for a comment`,
		}},
		{"semicolons", "p; role:viewer; argocd; /**; GET; allow", []string{
			`policy.csv:1:1: row kind "p; role:viewer; argocd; /**; GET; allow" is not known; separate the fields by commas`,
		}},
		{"duplicate", sound + "# again\np,role:viewer,argocd,/**,GET,allow", []string{
			"policy.csv:3:1: duplicate of the row at policy.csv:1; delete one of the two",
		}},
		{"duplicate e-mail", "p, user:Alice@example.com, argocd, /**, GET, allow\np, user:alice@example.com, argocd, /**, GET, allow", []string{
			"policy.csv:2:1: duplicate of the row at policy.csv:1; delete one of the two",
		}},
		{"duplicate g", sound + "g, a, role:viewer\ng, a, role:viewer", []string{
			"policy.csv:3:1: duplicate of the row at policy.csv:2; delete one of the two",
		}},
		{"role in a circle", sound + "g, role:viewer, role:viewer", []string{
			"policy.csv:2:4: role cycle: role:viewer -> role:viewer; delete this row or another one of the cycle",
		}},
		{"two roles in a circle", sound + "g, role:a, role:viewer\ng, a, role:a\ng, role:viewer, role:a", []string{
			"policy.csv:4:4: role cycle: role:viewer -> role:a -> role:viewer; delete this row or another one of the cycle",
		}},
		{"cycle after a way out", "p, role:end, argocd, /**, GET, allow\ng, role:a, role:end\ng, role:a, role:b\ng, role:b, role:a\n", []string{
			"policy.csv:4:4: role cycle: role:b -> role:a -> role:b; delete this row or another one of the cycle",
		}},
		{"cycle after a longer way out", "p, role:end, argocd, /**, GET, allow\ng, role:a, role:x\ng, role:x, role:y\ng, role:y, role:end\ng, role:a, role:b\ng, role:b, role:a\n", []string{
			"policy.csv:6:4: role cycle: role:b -> role:a -> role:b; delete this row or another one of the cycle",
		}},
		{"two circles", sound + "g, role:viewer, role:b\ng, role:b, role:viewer\ng, role:b, role:c\ng, role:c, role:d\ng, role:d, role:c\n", []string{
			"policy.csv:3:4: role cycle: role:b -> role:viewer -> role:b; delete this row or another one of the cycle",
			"policy.csv:6:4: role cycle: role:d -> role:c -> role:d; delete this row or another one of the cycle",
		}},
		{"chain of eleven", sound + chainOf(11), []string{
			"policy.csv:12:12: the chain of roles a -> role:10 -> role:9 -> role:8 -> role:7 -> role:6 -> role:5 -> role:4 -> role:3 -> role:2 -> role:1 -> role:viewer is longer than 10 g rows; shorten it: grant an inner role directly",
		}},
		{"misspelt role in g", "p, role:admin, argocd, /**, GET, allow\ng, a, role:admn", []string{
			`policy.csv:2:7: role:admn is granted but has no rules and inherits none; did you mean "role:admin"?`,
		}},
		{"role without anything", sound + "g, a, role:operators", []string{
			"policy.csv:2:7: role:operators is granted but has no rules and inherits none; add a p row for it",
		}},
		{"misspelt member", "p, role:admin, argocd, /**, GET, allow\np, role:viewer, argocd, /x, GET, allow\ng, role:admn, role:viewer", []string{
			`policy.csv:3:4: role:admn is used but has no rules and no members; did you mean "role:admin"?`,
		}},
		{"misspelt role in p", "p, role:admim, argocd, /**, GET, allow\ng, a, role:admin", []string{
			`policy.csv:2:7: role:admin is granted but has no rules and inherits none; did you mean "role:admim"?`,
		}},
		{"empty file", "", []string{
			"policy.csv: the policy has no rows; add p and g rows; an empty file is most often a failed write",
		}},
		{"file of comments", "# one\n\n  # two\n", []string{
			"policy.csv: the policy has no rows; add p and g rows; an empty file is most often a failed write",
		}},
		{"misspelt upstream", "p, role:viewer, argcd, /**, GET, allow", []string{
			`policy.csv:1:17: upstream "argcd" is not known; did you mean "argocd"?`,
		}},
		{"unknown upstream", "p, role:viewer, grafana, /**, GET, allow", []string{
			`policy.csv:1:17: upstream "grafana" is not known; known are "argocd", "workflows", and * for all`,
		}},
		{"part of an upstream", "p, role:viewer, argo*, /**, GET, allow", []string{
			`policy.csv:1:17: "argo*" is not an upstream name; write the name that the configuration gives it, or * for all`,
		}},
		{"path in the place of the upstream", "p, role:viewer, /**, argocd, GET, allow", []string{
			`policy.csv:1:17: "/**" is not an upstream name; write the name that the configuration gives it, or * for all`,
			`policy.csv:1:22: path "argocd" does not begin with /; write "/argocd"`,
		}},
		{"path without a slash", "p, role:viewer, argocd, api/**, GET, allow", []string{
			`policy.csv:1:25: path "api/**" does not begin with /; write "/api/**"`,
		}},
		{"star for a path", "p, role:viewer, argocd, *, GET, allow", []string{
			`policy.csv:1:25: path "*" does not begin with /; write "/**" for every path`,
		}},
		{"two stars in the middle", "p, role:viewer, argocd, /a/**/b, GET, allow", []string{
			`policy.csv:1:25: ** is not the last segment of path "/a/**/b"; write * for any one segment, or end the path with /**`,
		}},
		{"two stars and a slash", "p, role:viewer, argocd, /a/**/, GET, allow", []string{
			`policy.csv:1:25: ** is not the last segment of path "/a/**/"; write * for any one segment, or end the path with /**`,
		}},
		{"two stars in a segment", "p, role:viewer, argocd, /a/b**, GET, allow", []string{
			`policy.csv:1:25: ** is only a part of segment "b**"; write * for any characters, or ** as a segment of its own`,
		}},
		{"three stars", "p, role:viewer, argocd, /***, GET, allow", []string{
			`policy.csv:1:25: ** is only a part of segment "***"; write * for any characters, or ** as a segment of its own`,
		}},
		{"path with a query", "p, role:viewer, argocd, /a?x=1, GET, allow", []string{
			`policy.csv:1:25: path "/a?x=1" holds a query, and only paths are matched; write "/a"`,
		}},
		{"path with a needless escape", "p, role:viewer, argocd, /%61b, GET, allow", []string{
			`policy.csv:1:25: path "/%61b" is not in canonical form; write "/ab"`,
		}},
		{"path in lower-case escapes", "p, role:viewer, argocd, /a%3ab, GET, allow", []string{
			`policy.csv:1:25: path "/a%3ab" is not in canonical form; write "/a%3Ab"`,
		}},
		{"path with dots", "p, role:viewer, argocd, /a/../b, GET, allow", []string{
			`policy.csv:1:25: no request comes with path "/a/../b": the path has a . or .. segment; take that out`,
		}},
		{"path with an empty segment", "p, role:viewer, argocd, /a//b, GET, allow", []string{
			`policy.csv:1:25: no request comes with path "/a//b": the path has an empty segment; take that out, or add pathQuirks: [emptySegments] to its upstream`,
		}},
		{"path with a space", "p, role:viewer, argocd, /a b, GET, allow", []string{
			`policy.csv:1:25: no request comes with path "/a b": the path holds a control character or a space; write a space as %20`,
		}},
		{"path with a placeholder", "p, role:viewer, argocd, /apps/{name}, GET, allow", []string{
			`policy.csv:1:25: path "/apps/{name}" holds a brace; write * for any one segment, or %7B for the character`,
		}},
		{"path with letters beyond ASCII", "p, role:viewer, argocd, /café, GET, allow", []string{
			`policy.csv:1:25: path "/café" is not in canonical form; write "/caf%C3%A9"`,
		}},
		{"method in lower case", "p, role:viewer, argocd, /**, get, allow", []string{
			`policy.csv:1:30: method "get" is not in upper case; write GET`,
		}},
		{"methods with spaces", "p, role:viewer, argocd, /**, GET | POST, allow", []string{
			`policy.csv:1:30: method "GET | POST" holds a space; write GET|POST without spaces`,
		}},
		{"methods with an empty part", "p, role:viewer, argocd, /**, GET|, allow", []string{
			`policy.csv:1:30: method "GET|" has an empty part; write GET, or GET|POST, or * for all`,
		}},
		{"methods with a star", "p, role:viewer, argocd, /**, GET|*, allow", []string{
			`policy.csv:1:30: method "GET|*" has * together with others; write "*" alone`,
		}},
		{"method twice", "p, role:viewer, argocd, /**, GET|GET, allow", []string{
			`policy.csv:1:30: method "GET|GET" names GET twice; name it once`,
		}},
		{"no method", "p, role:viewer, argocd, /**, G.T, allow", []string{
			`policy.csv:1:30: method "G.T" is not a method; write GET, or GET|POST, or * for all`,
		}},
		{"g grants a group", sound + "g, role:viewer, example-org:argo", []string{
			`policy.csv:2:17: "example-org:argo" is not a role; the member comes first: write "g, example-org:argo, role:viewer"`,
		}},
		{"g grants a bare name", sound + "g, example-org:argo, viewer", []string{
			`policy.csv:2:22: "viewer" is not a role; write "role:viewer"`,
		}},
		{"role without a name", "p, role:, argocd, /**, GET, allow", []string{
			`policy.csv:1:4: "role:" has no name; write role:NAME`,
		}},
		{"role with a space", "p, role: viewer, argocd, /**, GET, allow", []string{
			`policy.csv:1:4: "role: viewer" has a space at an end of its name; write "role:viewer"`,
		}},
		{"role with a star", "p, role:*, argocd, /**, GET, allow", []string{
			`policy.csv:1:4: "role:*" holds a * or a comma; name one role`,
		}},
		{"role in capitals", "p, Role:viewer, argocd, /**, GET, allow", []string{
			`policy.csv:1:4: "Role:viewer" begins like role: in other letters; write "role:viewer"`,
		}},
		{"user without an address", "p, user:alice, argocd, /**, GET, allow", []string{
			`policy.csv:1:4: "user:alice" names no e-mail address; write user:NAME@DOMAIN for one user, or a group`,
		}},
		{"every user", "p, user:*, argocd, /**, GET, allow", []string{
			`policy.csv:1:4: "user:*" names no domain; write user:*@DOMAIN for every verified address of one domain, or system:authenticated for all who logged in`,
		}},
		{"every domain", "p, user:*@*, argocd, /**, GET, allow", []string{
			`policy.csv:1:4: a * in the domain of "user:*@*" matches nothing; write a row for each domain; subdomains are domains of their own`,
		}},
		{"subdomains", "p, user:*@*.example.com, argocd, /**, GET, allow\np, user:*@sub.*.com, argocd, /**, GET, allow", []string{
			`policy.csv:1:4: a * in the domain of "user:*@*.example.com" matches nothing; write a row for each domain; subdomains are domains of their own`,
			`policy.csv:2:4: a * in the domain of "user:*@sub.*.com" matches nothing; write a row for each domain; subdomains are domains of their own`,
		}},
		{"users whose names begin alike", "p, user:a*@example.com, argocd, /**, GET, allow\ng, user:**@example.com, role:x", []string{
			`policy.csv:1:4: a * in "user:a*@example.com" matches nothing; write user:*@DOMAIN for every verified address of one domain, or name each user`,
			`policy.csv:2:4: a * in "user:**@example.com" matches nothing; write user:*@DOMAIN for every verified address of one domain, or name each user`,
		}},
		{"no domain", "p, user:*@, argocd, /**, GET, allow\np, user:*@., argocd, /**, GET, allow", []string{
			`policy.csv:1:4: "user:*@" names no domain; write user:*@DOMAIN for every verified address of one domain`,
			`policy.csv:2:4: "user:*@." has a dot too many in its domain; write user:*@DOMAIN for every verified address of one domain`,
		}},
		{"a domain with a dot too many", "p, user:*@.com, argocd, /**, GET, allow\np, user:*@example.com., argocd, /**, GET, allow\np, user:*@a..com, argocd, /**, GET, allow", []string{
			`policy.csv:1:4: "user:*@.com" has a dot too many in its domain; write "user:*@com"`,
			`policy.csv:2:4: "user:*@example.com." has a dot too many in its domain; write "user:*@example.com"`,
			`policy.csv:3:4: "user:*@a..com" has a dot too many in its domain; write user:*@DOMAIN for every verified address of one domain`,
		}},
		{"two domains in one", "p, user:*@a.com|b.com, argocd, /**, GET, allow\np, user:*@a@b.com, argocd, /**, GET, allow\np, user:*@a.com b.com, argocd, /**, GET, allow", []string{
			`policy.csv:1:4: the domain of "user:*@a.com|b.com" holds "|"; write user:*@DOMAIN for every verified address of one domain, and a row for each domain`,
			`policy.csv:2:4: "user:*@a@b.com" holds a second @; write user:*@DOMAIN for every verified address of one domain`,
			`policy.csv:3:4: the domain of "user:*@a.com b.com" holds " "; write user:*@DOMAIN for every verified address of one domain, and a row for each domain`,
		}},
		{"a domain without user:", "p, *@example.com, argocd, /**, GET, allow", []string{
			`policy.csv:1:4: "*@example.com" would be a group; write "user:*@example.com" for every verified address of the domain`,
		}},
		{"misspelt system subject", "p, system:anonymus, argocd, /**, GET, allow", []string{
			`policy.csv:1:4: "system:anonymus" is not known; did you mean "system:anonymous"?`,
		}},
		{"unknown system subject", "p, system:all, argocd, /**, GET, allow", []string{
			`policy.csv:1:4: "system:all" is not known; write system:authenticated or system:anonymous`,
		}},
		{"star for a subject", "p, *, argocd, /**, GET, allow", []string{
			`policy.csv:1:4: "*" is not a subject; write system:authenticated for every signed-in user, system:anonymous for the others`,
		}},
		{"star in a group", "p, example-org:ar*, argocd, /**, GET, allow", []string{
			`policy.csv:1:4: a * in "example-org:ar*" matches nothing; write ORG:* for every group of an organisation, or name each group`,
		}},
		{"star for an organisation", "p, *:argo, argocd, /**, GET, allow", []string{
			`policy.csv:1:4: a * in "*:argo" matches nothing; write ORG:* for every group of an organisation, or name each group`,
		}},
		{"organisation without a name", "p, :*, argocd, /**, GET, allow", []string{
			`policy.csv:1:4: a * in ":*" matches nothing; write ORG:* for every group of an organisation, or name each group`,
		}},
		{"several in a row and several rows", "p, *, argcd, x, get, Allow\nq\np, role:viewer, argocd, /**, GET, allow\n", []string{
			`policy.csv:1:4: "*" is not a subject; write system:authenticated for every signed-in user, system:anonymous for the others`,
			`policy.csv:1:7: upstream "argcd" is not known; did you mean "argocd"?`,
			`policy.csv:1:14: path "x" does not begin with /; write "/x"`,
			`policy.csv:1:17: method "get" is not in upper case; write GET`,
			`policy.csv:1:22: effect "Allow" is not known; write "allow"`,
			`policy.csv:2:1: row kind "q" is not known; begin the line with p or g, or with # for a comment`,
		}},
		{"a faulty row does not make its role unknown", "p, role:viewer, argocd, /**, GET, alow\ng, a, role:viewer", []string{
			`policy.csv:1:35: effect "alow" is not known; write "allow"`,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, want := faultsOf(t, c.text), strings.Join(c.want, "\n")
			if got != want {
				t.Errorf("policy:\n%.200q\ngot:\n%s\nwant:\n%s", c.text, got, want)
			}
		})
	}
}

// faultsOf loads a text that must not load, and gives the faults.
func faultsOf(t *testing.T, text string) string {
	t.Helper()
	s, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte(text)}}, []string{"argocd", "workflows"})
	if err == nil {
		return fmt.Sprintf("loaded with %d rows", s.RowCount())
	}
	if s != nil {
		t.Error("a faulty policy came with a snapshot")
	}
	if all := fault.Faults(nil); !errors.As(err, &all) {
		t.Fatalf("the error is a %T: %v", err, err)
	}
	return err.Error()
}

// chainOf leads from the group a to role:viewer over n g rows.
func chainOf(n int) string {
	var rows strings.Builder
	member := "a"
	for i := n - 1; i > 0; i-- {
		role := fmt.Sprintf("role:%d", i)
		fmt.Fprintf(&rows, "g, %s, %s\n", member, role)
		member = role
	}
	fmt.Fprintf(&rows, "g, %s, role:viewer\n", member)
	return rows.String()
}

func TestLongQuotesAreCut(t *testing.T) {
	t.Parallel()
	got := faultsOf(t, "p, role:a, argocd, "+strings.Repeat("é", 10_000)+", GET, allow")
	if len(got) > 500 || !strings.Contains(got, "é…") {
		t.Errorf("got %.500s", got)
	}
}

func TestFaultsOfAllFilesAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := policy.Load([]policy.Source{
		{Name: "b.csv", Data: []byte("p, role:viewer, argocd, /**, GET, allow\n")},
		{Name: "a.csv", Data: []byte("p, role:viewer, argocd, /**, GET, allow\nx\n")},
		{Name: "c.csv", Data: []byte("# nothing yet\n")},
	}, nil)
	want := "a.csv:1:1: duplicate of the row at b.csv:1; delete one of the two\n" +
		`a.csv:2:1: row kind "x" is not known; begin the line with p or g, or with # for a comment` + "\n" +
		"c.csv: the policy has no rows; add p and g rows; an empty file is most often a failed write"
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

func TestNoFileIsAFault(t *testing.T) {
	t.Parallel()
	_, err := policy.Load(nil, nil)
	if want := "policy: no policy file is named; name at least one"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// The parser lets no such text through; a caller may name an upstream so, or try a pattern.
func TestFaultsThatQuoteWhatIsNoUTF8DoNotPanic(t *testing.T) {
	t.Parallel()
	odd := strings.Repeat("\xa1", 200)
	_, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte("p, role:a, app, /, GET, allow\n")}}, []string{odd})
	if err == nil || !strings.Contains(err.Error(), `known are "\xa1`) || len(err.Error()) > 1000 {
		t.Error(err)
	}
}
