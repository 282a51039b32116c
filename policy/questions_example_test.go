package policy_test

import (
	"fmt"
	"strings"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/cases"
	"github.com/example-org/authgate/policy/compare"
	"github.com/example-org/authgate/policy/lint"
	"github.com/example-org/authgate/target"
)

// file is a policy file of that name.
func file(name, text string) []policy.Source {
	return []policy.Source{{Name: name, Data: []byte(text)}}
}

func Example_whoCan() {
	s, err := policy.Load(file("policy.csv", `g, example-org:dev, role:viewer
p, role:viewer, argocd, /api/**, GET, allow
p, example-org:contractors, argocd, /api/v1/clusters, *, deny
`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	path, err := target.Parse("/api/v1/clusters")
	if err != nil {
		fmt.Println(err)
		return
	}
	identity, err := compare.NewWhoCan(s, "argocd", path, "GET")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, a := range identity.May {
		fmt.Println(a.Subject, "by", a.Row.Where())
	}
	for _, a := range identity.Refused {
		fmt.Println("not", a.Subject, "by", a.Row.Where())
	}
	// Output:
	// role:viewer by policy.csv:2
	// example-org:dev by policy.csv:2
	// not example-org:contractors by policy.csv:3
}

func Example_diff() {
	before, err := policy.Load(file("old.csv", "p, example-org:dev, argocd, /api/**, GET, allow\n"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	after, err := policy.Load(file("new.csv", `p, example-org:dev, argocd, /api/**, GET|POST, allow
p, example-org:dev, argocd, /api/v1/clusters/**, *, deny
`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	diff, err := compare.Policies(before, after, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range diff.Granted {
		fmt.Println("+", c.Subject, c.Methods, c.Upstream+":"+c.Path)
	}
	for _, c := range diff.Revoked {
		fmt.Println("-", c.Subject, c.Methods, c.Upstream+":"+c.Path)
	}
	// Output:
	// + example-org:dev POST argocd:/api/**
	// - example-org:dev GET argocd:/api/v1/clusters/**
}

func Example_lint() {
	report := lint.Run(file("policy.csv", `g, role:admin, role:viewer
g, example-org:argo, role:admin
g, example-org:dev, role:viewer
p, role:admin, argocd, /**, *, allow
p, role:viewer, argocd, /terminal/**, *, deny
`), lint.Environment{})
	for _, f := range report.Findings {
		fmt.Println(f.At, f.Severity, f.Code)
		fmt.Println(" ", f.Message)
	}
	// Output:
	// policy.csv:5:1 warning AG101
	//   the deny also binds role:admin, which policy.csv:4 allows it (role:admin holds role:viewer by policy.csv:1)
}

func Example_cases() {
	s, err := policy.Load(file("policy.csv", `p, role:viewer, argocd, /api/**, GET, allow
p, role:viewer, argocd, /assets/**, GET, allow
`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	find := func(name string) (string, target.Path, error) {
		upstream, raw, _ := strings.Cut(name, ":")
		path, err := target.Parse(raw)
		return upstream, path, err
	}
	suite, err := cases.Read(file("cases.csv", `who, method, target, expect
role:viewer, GET, argocd:/api/version, allow
role:viewer, POST, argocd:/api/version, allow
`), find)
	if err != nil {
		fmt.Println(err)
		return
	}
	outcomes, coverage := cases.Run(s, suite)
	for _, o := range outcomes {
		fmt.Printf("%s %q\n", o.Case.Where(), o.Failure)
	}
	fmt.Println(coverage.Percent(), "% of the rows decided a case")
	// Output:
	// cases.csv:2 ""
	// cases.csv:3 "expected allow, got deny"
	// 50 % of the rows decided a case
}

func ExampleFormat() {
	text, changed, err := policy.Format(policy.Source{Name: "policy.csv", Data: []byte("# Who.\ng,example-org:dev ,  role:viewer\n")})
	fmt.Printf("%s%v %v\n", text, changed, err)
	// Output:
	// # Who.
	// g, example-org:dev, role:viewer
	// [2] <nil>
}
