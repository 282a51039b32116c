package policy

// WhoIs describes somebody who is one subject and nothing else.
func WhoIs(subject string) Who { return whoIs(subject) }
