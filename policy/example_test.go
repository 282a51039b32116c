package policy_test

import (
	"fmt"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/target"
)

func ExampleLoad() {
	snapshot, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte(`
p, role:viewer, argocd, /api/**, GET, allow
p, role:viewer, argocd, /api/v1/session, *, deny
g, example-org:dev, role:viewer
`)}}, []string{"argocd"})
	if err != nil {
		fmt.Println(err)
		return
	}
	roles := snapshot.Resolve(policy.Who{Groups: []string{"example-org:dev"}})
	for _, raw := range []string{"/api/v1/applications", "/api/v1/session", "/terminal"} {
		path, err := target.Parse(raw)
		if err != nil {
			fmt.Println(err)
			return
		}
		d := snapshot.Decide(policy.Request{Roles: roles, Upstream: "argocd", Path: path, Method: "GET"})
		if d.Rule == nil {
			fmt.Println(d.Effect, path)
			continue
		}
		fmt.Println(d.Effect, path, "by", d.Rule.Where())
	}
	// Output:
	// allow /api/v1/applications by policy.csv:2
	// deny /api/v1/session by policy.csv:3
	// deny /terminal
}

func ExampleLoad_faults() {
	_, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte(`
p, role:admin, argocd, /**, *, Allow
g, example-org:argo, role:admn
`)}}, []string{"argocd"})
	fmt.Println(err)
	// Output:
	// policy.csv:2:32: effect "Allow" is not known; write "allow"
	// policy.csv:3:22: role:admn is granted but has no rules and inherits none; did you mean "role:admin"?
}
