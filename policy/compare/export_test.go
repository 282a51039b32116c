package compare

import "github.com/example-org/authgate/policy"

// IdentityOf describes a user who is one subject and nothing else.
func IdentityOf(subject string) policy.Identity { return policy.IdentityOf(subject) }
