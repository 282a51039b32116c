package policy

// IdentityOf describes somebody who is one subject and nothing else.
func IdentityOf(subject string) Identity { return identityOf(subject) }
