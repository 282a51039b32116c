package session

import "github.com/example-org/authgate/session/cookie"

// PickLatest gives the latest of the sessions in a browser's duplicate cookies. open is
// false for cookies that do not hold a session.
func PickLatest(sets [][]cookie.Chunks, open func(*cookie.Chunks) (Session, bool, error)) (
	s Session, p cookie.Chunks, err error,
) {
	if len(sets) == 0 {
		return Session{}, cookie.Chunks{}, ErrInvalid
	}
	found := false
	for _, set := range sets {
		opened := false
		for i := range set {
			candidate, ok, err := open(&set[i])
			if err != nil {
				return Session{}, cookie.Chunks{}, err
			}
			if !ok {
				continue
			}
			if found && !sameUser(&candidate, &s) {
				return Session{}, cookie.Chunks{}, ErrAmbiguous
			}
			opened = true
			if !found || newer(&candidate, &s) {
				s, p, found = candidate, set[i], true
			}
		}
		if !opened {
			return Session{}, cookie.Chunks{}, ErrAmbiguous
		}
	}
	return s, p, nil
}

func sameUser(a, b *Session) bool {
	return a.Principal.Issuer == b.Principal.Issuer && a.Principal.Subject == b.Principal.Subject
}

func newer(a, b *Session) bool {
	if !a.CreatedAt.Equal(b.CreatedAt) {
		return a.CreatedAt.After(b.CreatedAt)
	}
	return a.Cookie.Version > b.Cookie.Version
}
