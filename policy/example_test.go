package policy_test

import (
	"context"
	"fmt"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/explain"
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
	roles := snapshot.Resolve(policy.Identity{Groups: []string{"example-org:dev"}})
	for _, raw := range []string{"/api/v1/applications", "/api/v1/session", "/terminal"} {
		path, err := target.Parse(raw)
		if err != nil {
			fmt.Println(err)
			return
		}
		d := snapshot.Decide(policy.Request{Roles: roles, Upstream: "argocd", Path: path, Method: "GET"})
		if d.Row == nil {
			fmt.Println(d.Effect, path)
			continue
		}
		fmt.Println(d.Effect, path, "by", d.Row.Where())
	}
	// Output:
	// allow /api/v1/applications by policy.csv:2
	// deny /api/v1/session by policy.csv:3
	// deny /terminal
}

// Another Go program may hold its own requests against a policy.
func ExampleSnapshot_Decide() {
	sources, err := policy.ReadFiles("../examples/policy.csv")
	if err != nil {
		fmt.Println(err)
		return
	}
	snapshot, err := policy.Load(sources, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := snapshot.Prepare(); err != nil { // casbin agrees, before any request is admitted
		fmt.Println(err)
		return
	}
	path, err := target.Parse("/api/v1/%61pplications?watch=true") // one canonical form
	if err != nil {
		fmt.Println(err)
		return
	}
	identity := policy.Identity{Email: "alice@example.com", Groups: []string{"example-org:argo"}}
	q := policy.Request{Roles: snapshot.Resolve(identity), Upstream: "argocd", Path: path, Method: "GET"}
	fmt.Println(q.Path, snapshot.Decide(q).Effect, q.Roles.Names(), snapshot.Verify(q))
	// Output:
	// /api/v1/applications allow [role:admin role:operator role:viewer] <nil>
}

// Confirm holds first answers against casbin while requests are served.
func ExampleSnapshot_CrossCheck() {
	snapshot, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte("p, system:anonymous, docs, /**, GET, allow\n")}}, []string{"docs"})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		snapshot.CrossCheck(ctx, func(d policy.Disagreement) { fmt.Println("raise the alarm:", d.Index, d.Casbin, d.Err) })
	}()
	// ... serve requests with snapshot.Decide ...
	stop()
	<-ended
	fmt.Println("demoted:", snapshot.Demoted())
	// Output:
	// demoted: false
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

// A program loads a policy, decides a request, and asks a tool why.
func Example() {
	snapshot, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte(`g, example-org:dev, role:viewer
p, role:viewer, argocd, /api/**, GET, allow
`)}}, []string{"argocd"})
	if err != nil {
		fmt.Println(err)
		return
	}
	path, err := target.Parse("/api/v1/applications")
	if err != nil {
		fmt.Println(err)
		return
	}
	user := policy.Identity{Groups: []string{"example-org:dev"}}
	roles := snapshot.Resolve(user)
	fmt.Println(snapshot.Decide(policy.Request{Roles: roles, Upstream: "argocd", Path: path, Method: "GET"}))
	fmt.Println(snapshot.Decide(policy.Request{Roles: roles, Upstream: "argocd", Path: path, Method: "POST"}))

	for _, edit := range explain.Explain(snapshot, user, "argocd", path, "POST").Edits {
		fmt.Println(edit.Decision, "if:", edit.Text)
	}
	// Output:
	// allow policy.csv:2
	// deny
	// allow policy.csv:2 if: ask with GET instead of POST
	// allow if: add: p, role:viewer, argocd, /api/v1/applications, POST, allow
	// allow policy.csv:2 if: widen policy.csv:2 to: p, role:viewer, argocd, /api/**, GET|POST, allow
}
