package policyimport_test

import (
	"testing"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/target"
)

// may asks for somebody in the group example-org:x.
func may(t *testing.T, s *policy.Snapshot, method, path string) bool {
	t.Helper()
	parsed, err := target.Parse(path)
	if err != nil {
		t.Fatal(err)
	}
	roles := s.Resolve(policy.Who{Groups: []string{"example-org:x"}})
	return s.Decide(policy.Request{Roles: roles, Upstream: "argocd", Path: parsed, Method: method}).Allowed()
}
