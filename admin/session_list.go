package admin

import (
	"slices"
	"strings"
	"time"

	"github.com/example-org/authgate/session"
)

// SessionList is the list of sessions on the admin port and in the output of commands.
type SessionList struct {
	Sessions []ListedSession `json:"sessions"`
}

// ListedSession is one of them. It has no token and no cookie, so that it cannot be used to
// sign in.
type ListedSession struct {
	ID            string    `json:"id"`
	Email         string    `json:"email"`
	Username      string    `json:"username"`
	Issuer        string    `json:"issuer"`
	Subject       string    `json:"sub"`
	Groups        []string  `json:"groups"`
	DroppedGroups int       `json:"groups_dropped"`
	CreatedAt     time.Time `json:"created_at"`
	LastUsed      time.Time `json:"last_used_at"`
	Refreshed     time.Time `json:"refreshed"` // when the groups were read
	Expires       time.Time `json:"expires"`
}

// ListSessions converts sessions, and sorts those of one user together.
func ListSessions(found []session.Session) []ListedSession {
	listed := make([]ListedSession, len(found))
	for i, s := range found {
		principal := s.Principal
		listed[i] = ListedSession{
			ID: s.ID, Email: principal.Email, Username: principal.Username, Issuer: principal.Issuer, Subject: principal.Subject,
			Groups: append([]string{}, principal.Groups...), DroppedGroups: s.DroppedGroups,
			CreatedAt: s.CreatedAt.UTC(), LastUsed: s.LastUsed.UTC(), Refreshed: s.FetchedAt.UTC(), Expires: s.Expires.UTC(),
		}
	}
	slices.SortStableFunc(listed, func(a, b ListedSession) int {
		if order := strings.Compare(a.Email, b.Email); order != 0 {
			return order
		}
		if order := strings.Compare(a.Subject, b.Subject); order != 0 {
			return order
		}
		return a.CreatedAt.Compare(b.CreatedAt)
	})
	return listed
}
