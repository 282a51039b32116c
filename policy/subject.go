package policy

import "strings"

// whoIs describes somebody who is one subject, with what it brings, and nothing
// else. ORG:* is somebody in a team of ORG that no row names.
func whoIs(subject string) Who {
	switch {
	case subject == anonymous:
		return Who{Anonymous: true}
	case subject == authenticated:
		return Who{}
	case strings.HasPrefix(subject, rolePrefix):
		return Who{Roles: []string{subject}}
	case strings.HasPrefix(subject, userPrefix):
		return Who{Email: subject[len(userPrefix):]}
	default:
		return Who{Groups: []string{subject}}
	}
}

// alone gives the roles of somebody who is one subject and nothing else.
func (s *Snapshot) alone(subject string) Roles { return s.Resolve(whoIs(subject)) }
