package cases_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/cases"
	"github.com/example-org/authgate/target"
)

const header = "who, method, target, expect, rule\n"

// find reads UPSTREAM:/path.
func find(name string) (string, target.Path, error) {
	upstream, raw, ok := strings.Cut(name, ":")
	if !ok || upstream == "" {
		return "", target.Path{}, fmt.Errorf("target %q is not UPSTREAM:/path", name)
	}
	path, err := target.Parse(raw)
	return upstream, path, err
}

func readCases(t testing.TB, name, text string) []cases.Case {
	t.Helper()
	cases, err := cases.Read([]policy.Source{{Name: name, Data: []byte(text)}}, find)
	if err != nil {
		t.Fatalf("reading:\n%s\n%v", text, err)
	}
	return cases
}

// retold gives cases line by line, as a table with the place of each.
func casesText(cases []cases.Case) string {
	var b strings.Builder
	for _, c := range cases {
		fmt.Fprintf(&b, "%d %s | %s | %s | %s:%s | %s | %s\n", c.Line(), c.Name, c.SubjectList(), c.Method, c.Upstream, c.Path, c.Expect, c.Rule)
	}
	return b.String()
}

func TestCasesInYAMLAreReadInTheOrderOfTheFile(t *testing.T) {
	t.Parallel()
	got := casesText(readCases(t, "cases.yml", `
cases:
  - name: viewers look
    who: [example-org:dev, "user:Eve@example.com"]
    deny:
      - POST argocd:/x
    allow:
      - GET   argocd:/%61
      - request: HEAD argocd:/a/
        rule: p,role:viewer,  argocd, /**, GET, allow
      - {request: GET argocd:/..., rule: "./policy.csv:3"}
  - who: system:anonymous
    allow: &open
      - POST hook:/
  - who: role:viewer
    deny: *open
`))
	want := `6 viewers look | example-org:dev + user:eve@example.com | POST | argocd:/x | deny | 
8 viewers look | example-org:dev + user:eve@example.com | GET | argocd:/a | allow | 
9 viewers look | example-org:dev + user:eve@example.com | HEAD | argocd:/a/ | allow | p, role:viewer, argocd, /**, GET, allow
11 viewers look | example-org:dev + user:eve@example.com | GET | argocd:/... | allow | policy.csv:3
14  | system:anonymous | POST | hook:/ | allow | 
14  | role:viewer | POST | hook:/ | deny | 
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestATableSaysWhatYAMLSays(t *testing.T) {
	t.Parallel()
	got := casesText(readCases(t, "cases.CSV", `# by hand

who, method, target, expect, rule
example-org:dev + user:eve+ci@example.com, GET, argocd:/%61, allow
	role:viewer,HEAD,  argocd:/a/, allow, "p,role:viewer,  argocd, /**, GET, allow"
# only signed in
system:authenticated, GET, argocd:/, deny,
"a, b + example-org:*", GET, argocd:/, deny, policy.csv:4`))
	want := `4  | example-org:dev + user:eve+ci@example.com | GET | argocd:/a | allow | 
5  | role:viewer | HEAD | argocd:/a/ | allow | p, role:viewer, argocd, /**, GET, allow
7  | system:authenticated | GET | argocd:/ | deny | 
8  | a, b + example-org:* | GET | argocd:/ | deny | policy.csv:4
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestWhoAsksIsOnePerson(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]policy.Identity{
		"example-org:dev":                       {Groups: []string{"example-org:dev"}},
		"example-org:dev + qa + user:Eve@ex.io": {Groups: []string{"example-org:dev", "qa"}, Email: "eve@ex.io"},
		"role:viewer + role:qa":                 {Roles: []string{"role:viewer", "role:qa"}},
		"role:viewer + example-org:*":           {Roles: []string{"role:viewer"}, Groups: []string{"example-org:*"}},
		"system:anonymous":                      {Anonymous: true},
		"system:authenticated":                  {},
	} {
		got := readCases(t, "c.csv", header+written+", GET, a:/, deny")[0].Identity
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %+v, want %+v", written, got, want)
		}
	}
}

func TestARefusedPathIsKeptWithItsReason(t *testing.T) {
	t.Parallel()
	c := readCases(t, "c.csv", header+"role:admin, GET, argocd:/a/../b, deny")[0]
	if !errors.Is(c.Refused, target.DotSegment) || !c.Path.IsZero() || c.Upstream != "argocd" || c.Target != "argocd:/a/../b" {
		t.Errorf("got %+v", c)
	}
}

// The scripts of the command line show the faults of both forms side by side; here
// are those that they leave out.
func TestEveryFaultOfACaseSaysWhere(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"c.yaml", "cases: [", "c.yaml:2: not valid YAML: did not find expected node content; the mistake is on this line or not far from it"},
		{"c.yaml", "cases: *x", "c.yaml:1:8: not valid YAML: unknown anchor referenced; put a value that begins with * in quotes"},
		{"c.yaml", "cases:\n- who: a\n  allow: [GET a:/]\n---\ncases: []\n", "c.yaml:4:1: a second document begins here; keep one document, and remove the ---"},
		{"c.yaml", "~", "c.yaml: the file is empty; write cases: and a list of them"},
		{"c.yaml", "[]", "c.yaml:1:1: here must be a mapping with cases, not a list"},
		{"c.yaml", "{}", "c.yaml:1:1: the file has no cases; write cases: and a list of them"},
		{"c.yaml", "case: []", `c.yaml:1:1: unknown key "case"; did you mean "cases"?`},
		{"c.yaml", "cases: []", "c.yaml:1:8: cases is an empty list; write what you expect, or remove it"},
		{"c.yaml", "cases:\n- who: []\n  allow: [GET a:/]", "c.yaml:2:8: who is an empty list; write what you expect, or remove it"},
		{"c.yaml", "cases:\n- who: {group: a}\n  allow: [GET a:/]", "c.yaml:2:8: who must be a string, not a mapping"},
		{"c.yaml", "cases:\n- who: ''\n  allow: [GET a:/]", "c.yaml:2:8: who is empty; write a value"},
		{"c.yaml", "cases:\n- who: \"a\\u202e\"\n  allow: [GET a:/]", "c.yaml:2:8: who holds the invisible character U+202E; remove it"},
		{"c.yaml", "cases:\n- who: a\n  allow: [GET a:/]\n- who: a\n  deny: ['GET a:/?x=y']", "c.yaml:5:10: the same is asked at c.yaml:3; delete one of the two"},
		{"c.yaml", "cases:\n- who: a\n  allow: [{request: GET a:/, rule: 'p, a, b, c'}]", `c.yaml:3:36: rule "p, a, b, c": a p row has 6 fields and this one 4; write "p, subject, upstream, path, method, effect", several methods as GET|POST`},
		{"c.yaml", "cases:\n- who: a\n  allow: [{request: GET a:/, rule: '# p'}]", `c.yaml:3:36: rule "# p" is not a row and not the position of one; write the row as it stands in the policy, such as p, role:viewer, argocd, /**, GET, allow`},
		{"c.csv", header + `a, GET, a:/, deny, "p, a, a, /, GET, allow"`, "c.csv:2:20: a row that says allow never decides deny; name another row, or expect allow"},
		{"c.csv", "", "c.csv: the table has no cases; write a line for each, below a first line who, method, target, expect, rule"},
		{"c.csv", header + "# none\n", "c.csv: the table has no cases; write a line for each, below a first line who, method, target, expect, rule"},
		{"c.csv", "who, method, target\na, GET, a:/, allow", "c.csv:1:1: the table has no header; let the first line be who, method, target, expect, rule"},
		{"c.csv", "\ufeff" + header + "a, GET, a:/, allow", "c.csv:1:1: the file begins with a byte order mark; save it as UTF-8 without BOM"},
		{"c.csv", strings.ReplaceAll(header+"a, GET, a:/, allow\n", "\n", "\r\n"), "c.csv:1:34: the line ends in CR LF; save the file with Unix line ends (LF)"},
		{"c.csv", header + "a\x00, GET, a:/, allow", "c.csv:2:2: the line holds the invisible character U+0000; remove it"},
		{"c.csv", header + "# " + strings.Repeat("x", 64<<10) + "\na, GET, a:/, allow", "c.csv:2:1: the line is longer than 65536 bytes; make several rows of it"},
		{"c.csv", header + `a, GET, "a:/, allow`, "c.csv:2:20: a quoted field does not end, or continues after its quote; close the quote on the same line, right before the comma"},
		{"c.csv", header + "a\tb, GET, a:/, allow", "c.csv:2:2: a tab inside a field; separate fields by commas"},
		{"c.csv", header + "a, GET, a, allow", `c.csv:2:9: target "a" is not UPSTREAM:/path`},
		{"c.csv", header + "a + , GET, a:/, allow", "c.csv:2:4: space before the comma; take it away"},
		{"c.csv", header + `"a + ", GET, a:/, allow`, "c.csv:2:5: a subject is empty; write a group, role:NAME, user:EMAIL or system:anonymous"},
		{"c.csv", header + "a  + b, GET, a:/, allow", `c.csv:2:1: "a " has a space at an end; write "a"`},
		{"c.csv", header + "a + Role:x, GET, a:/, allow", `c.csv:2:5: "Role:x" begins like role: in other letters; write "role:x"`},
		{"c.csv", header + "system:authenticated + a, GET, a:/, allow", "c.csv:2:1: system:authenticated is redundant with other subjects; leave it out: every user with a group or an e-mail address holds it"},
		{"c.json", "", "c.json: the name of a case file ends in .yaml, .yml or .csv; rename the file"},
		{"c.csv", strings.Repeat("#", 16<<20+1), "c.csv: the file is larger than 16 MiB; is it a case file?"},
	} {
		cases, err := cases.Read([]policy.Source{{Name: c.name, Data: []byte(c.text)}}, find)
		var faults fault.Faults
		if !errors.As(err, &faults) || cases != nil {
			t.Errorf("%.200q: no faults, but %v", c.text, err)
			continue
		}
		if got := err.Error(); got != c.want {
			t.Errorf("%.200q:\ngot  %s\nwant %s", c.text, got, c.want)
		}
	}
}

func TestAnchorsDoNotFillTheMemory(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("cases:\n- who: g0\n  allow: &all\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "  - GET a:/%d\n", i)
	}
	for i := range 1000 {
		fmt.Fprintf(&b, "- {who: g%d, deny: *all}\n", i+1)
	}
	_, err := cases.Read([]policy.Source{{Name: "c.yaml", Data: []byte(b.String())}}, find)
	if err == nil || !strings.Contains(err.Error(), "this is the case after the 100000th") {
		t.Errorf("a million cases: %.200v", err)
	}
}

// table writes cases as a table.
func table(suite []cases.Case) []byte {
	var b bytes.Buffer
	b.WriteString(header)
	for _, c := range suite {
		for i, text := range []string{c.SubjectList(), c.Method, c.Target, c.Expect.String(), c.Rule} {
			b.WriteString([]string{"", ","}[min(i, 1)] + `"` + strings.ReplaceAll(text, `"`, `""`) + `"`)
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// What is read can be written as a table and read again; what is not is faults
// that have a place.
func checkCases(t *testing.T, name string, data []byte) {
	t.Helper()
	if len(data) > 2000 {
		return
	}
	suite, err := cases.Read([]policy.Source{{Name: name, Data: data}}, find)
	if err != nil {
		var faults fault.Faults
		if !errors.As(err, &faults) {
			t.Fatalf("the error is no faults: %v", err)
		}
		for _, f := range faults {
			if f.File != name || f.Message == "" || f.Line < 0 || f.Line > len(data)+2 { // YAML knows more line ends than one
				t.Errorf("a fault out of place: %v", f)
			}
		}
		return
	}
	if len(suite) == 0 {
		t.Fatal("no cases and no fault")
	}
	for _, c := range suite {
		for _, subject := range c.Subjects {
			if strings.Contains(" "+subject+" ", " + ") {
				return // YAML alone can say this
			}
		}
	}
	again, err := cases.Read([]policy.Source{{Name: "again.csv", Data: table(suite)}}, find)
	if err != nil {
		t.Fatalf("the same as a table: %v\n%s", err, table(suite))
	}
	for i := range again {
		if fmt.Sprint(again[i].Identity, again[i].Path, again[i].Expect, again[i].Rule) != fmt.Sprint(suite[i].Identity, suite[i].Path, suite[i].Expect, suite[i].Rule) {
			t.Errorf("case %d became another one:\n%+v\n%+v", i, suite[i], again[i])
		}
	}
}

func FuzzCasesYAML(f *testing.F) {
	for _, seed := range []string{
		"cases:\n- who: a\n  allow: [GET a:/]\n",
		"cases:\n- name: x\n  who: [a, 'user:e@x', example-org:*]\n  deny:\n  - {request: POST a:/b/../c, rule: 'p, a, b, /**, GET, deny'}\n  - request: GET a:/b\n    rule: policy.csv:3\n",
		"cases: [{who: &a system:anonymous, allow: &b [GET a:/]}, {who: *a, deny: *b}]",
		"a: &a [*a]", "cases: {<<: {cases: []}}", "---\n---\n", "cases:\n\t- x", "!!binary x", "cases: !!set {x}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkCases(t, "cases.yaml", data) })
}

func FuzzCasesCSV(f *testing.F) {
	for _, seed := range []string{
		header + "a, GET, a:/, allow\n",
		header + "# c\n\nexample-org:dev + user:e+f@x, POST, a:/b/../c, deny, \"p, a, b, /**, GET, deny\"\nsystem:anonymous,GET,a:/,allow,policy.csv:3",
		header + "a , get, a, alow, x, y\n\"a\"\"b\", GET, a:/#, deny\n,,,\n",
		"\ufeff" + header, "who\r\n", header + "\xff, GET, a:/, allow", header + "role:a + , GET, a:/, allow # x",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkCases(t, "cases.csv", data) })
}
