package proxy

import (
	"slices"
	"strings"
	"time"

	"github.com/example-org/authgate/session"
)

// SessionList is what operators are told of sessions, by the admin port and by the
// command line alike.
type SessionList struct {
	Sessions []ListedSession `json:"sessions"`
}

// ListedSession is one of them. It has what names a session and what it is worth,
// and nothing that opens one: no token, no cookie.
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

// ListSessions puts sessions into that form, those of one person side by side.
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
