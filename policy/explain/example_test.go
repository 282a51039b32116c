package explain_test

import (
	"fmt"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/explain"
	"github.com/example-org/authgate/target"
)

func ExampleExplain() {
	snapshot, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte(`
p, role:viewer, argocd, /api/v1/applications/**, GET, allow
p, role:admin, argocd, /**, *, allow
g, example-org:dev, role:viewer
g, example-org:argo, role:admin
`)}}, []string{"argocd"})
	if err != nil {
		fmt.Println(err)
		return
	}
	path, err := target.Parse("/api/v1/applications/web/sync")
	if err != nil {
		fmt.Println(err)
		return
	}
	why := explain.Explain(snapshot, policy.Identity{Groups: []string{"example-org:dev"}}, "argocd", path, "POST")
	fmt.Println(why.Decision.Effect)
	for _, held := range why.Subjects {
		for _, link := range held.Chain {
			fmt.Println("is", held.Subject, "by", link.Where())
		}
	}
	for _, considered := range why.Rows {
		fmt.Println(considered.Row.Where(), considered.Why())
	}
	for _, edit := range why.Edits {
		fmt.Println(edit.Decision.Effect, "if:", edit.Text)
	}
	// Output:
	// deny
	// is role:viewer by policy.csv:4
	// policy.csv:2 method differs: row has GET, request has POST
	// policy.csv:3 role:admin is not held
	// allow if: ask with GET instead of POST
	// allow if: be in group example-org:argo
	// allow if: have role:admin
	// allow if: add: p, role:viewer, argocd, /api/v1/applications/web/sync, POST, allow
	// allow if: widen policy.csv:2 to: p, role:viewer, argocd, /api/v1/applications/**, GET|POST, allow
}
