package server

import (
	"reflect"
	"testing"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity"
)

func TestWhatIsWrittenOfBearersIsWhatIsAccepted(t *testing.T) {
	t.Parallel()
	c, err := config.Parse("authgate.yaml", []byte(`
issuer: {url: https://dex.example.com, clientID: a, clientSecret: {file: s}}
session: {keys: {file: k}}
bearer:
  - issuer: https://ci.example.com
    audience: authgate
    require: {ref: [main, next]}
    subjectClaim: repository
    groups: ["ci:{repository}:{ref}!", "ci"]
  - {issuer: https://other.example.com, audience: b}
upstreams: [{name: a, hosts: [a.example.com], url: "http://a"}]
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []identity.Bearer{
		{
			Issuer: "https://ci.example.com", Audience: "authgate", SubjectClaim: "repository",
			Require: map[string][]string{"ref": {"main", "next"}},
			Groups: []identity.GroupTemplate{
				{{Text: "ci:", Claim: "repository"}, {Text: ":", Claim: "ref"}, {Text: "!"}},
				{{Text: "ci"}},
			},
		},
		{Issuer: "https://other.example.com", Audience: "b", SubjectClaim: "sub"},
	}
	if got := identityBearers(c, nil); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}
