package replay_test

import (
	"fmt"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/replay"
	"github.com/example-org/authgate/policy/suggest"
	"github.com/example-org/authgate/target"
)

// seen are requests as a program may have noted them: of two people in two groups.
func seen() ([]replay.LoggedRequest, error) {
	var all []replay.LoggedRequest
	for _, raw := range []string{"/api/v1/applications/web", "/api/v1/applications/shop", "/api/v1/applications/docs", "/api/v1/settings"} {
		path, err := target.Parse(raw)
		if err != nil {
			return nil, err
		}
		all = append(all, replay.LoggedRequest{
			User: "quinn", Groups: []string{"example-org:dev"}, Upstream: "argocd", Method: "GET", Path: path, Effect: policy.Allow,
		})
	}
	all[3].Groups = []string{"example-org:argo"}
	return all, nil
}

// What a policy would have said to requests of the past.
func ExampleNew() {
	snapshot, err := policy.Load([]policy.Source{{Name: "new.csv", Data: []byte("p, example-org:dev, argocd, /api/v1/applications/*, GET, allow\n")}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	requests, err := seen()
	if err != nil {
		fmt.Println(err)
		return
	}
	replay := replay.New(snapshot)
	for i := range requests {
		replay.Add(&requests[i])
	}
	report, err := replay.Report()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, d := range report.Differences {
		fmt.Println(d.Change, d.Method, d.Path, "to", d.Subjects)
	}
	// Output:
	// revoked GET /api/v1/settings to [example-org:argo]
}

// The least policy that allows what was allowed.
func Example_suggest() {
	requests, err := seen()
	if err != nil {
		fmt.Println(err)
		return
	}
	suggest := suggest.New(suggest.Options{Distinct: 3})
	for i := range requests {
		suggest.Add(&requests[i])
	}
	report, err := suggest.Report()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, row := range report.Rows {
		fmt.Println(row.Row)
	}
	// Output:
	// p, example-org:argo, argocd, /api/v1/settings, GET, allow
	// p, example-org:dev, argocd, /api/v1/applications/*, GET, allow
}
