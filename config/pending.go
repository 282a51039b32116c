package config

import (
	"reflect"
	"strings"
)

// pending is a key of the tree that this version does not act on. It is refused
// rather than ignored: who writes it relies on it.
type pending struct {
	key  string // a [] follows the name of a list whose items are walked
	keep any    // the value that may stand there, empty lists aside; nil: none
	mend string
}

// pendings loses a line with each feature that comes.
func pendings() []pending {
	return []pending{
		{"adminToken", Secret{}, "leave it out"},
		{"issuer.audiences", none{}, "leave it out"},
		{"bearer", none{}, "leave it out"},
		{"session.store", StoreCookie, "write cookie"},
		{"session.idleTimeout", Duration(0), "write 0s, or leave it out; lifetime ends a session"},
		{"session.refreshEvery", nil, "leave it out; groups are read at login"},
		{"session.refreshGrace", nil, "leave it out; groups are read at login"},
		{"session.cookie.sameSite", SameSiteLax, "write lax"},
		{"session.redis.url", Secret{}, "leave it out"},
		{"session.redis.caFile", "", "leave it out"},
		{"upstreams[].identity.credential", CredentialNone, "write none; the identity headers are sent"},
		{"upstreams[].identity.serviceAccounts", none{}, "leave it out"},
	}
}

// none is what may stand in a list: nothing.
type none struct{}

func (p pending) allows(value reflect.Value) bool {
	switch p.keep.(type) {
	case nil:
		return false
	case none:
		return value.Len() == 0
	default:
		return value.Interface() == p.keep
	}
}

// subject names a word or a number; what is longer may be a secret.
func (p pending) subject(at place) string {
	switch p.keep.(type) {
	case Store, SameSite, Credential, Duration:
		return at.value.Value
	default:
		return "this key"
	}
}

func checkPending(c *Config, at place) {
	for _, p := range pendings() {
		p.check(reflect.ValueOf(c).Elem(), at, strings.Split(p.key, "."))
	}
}

// check follows the rest of the key down the tree.
func (p pending) check(value reflect.Value, at place, rest []string) {
	if len(rest) > 0 {
		name, isList := strings.CutSuffix(rest[0], "[]")
		f, _ := fieldsOf(value.Type()).byName(name)
		value, at = value.Field(f.index), at.key(name)
		if !isList {
			p.check(value, at, rest[1:])
			return
		}
		for i := range value.Len() {
			p.check(value.Index(i), at.item(i), rest[1:])
		}
		return
	}
	switch {
	case !at.written() || p.allows(value):
	default:
		at.refuse(p.subject(at)+" is not supported yet", p.mend)
	}
}
