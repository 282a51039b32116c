package identity

import (
	"encoding/json"
	"time"

	"github.com/example-org/authgate/text"
)

// claims are the top-level members of an ID token by their exact names. A struct would not
// do: encoding/json accepts "Groups" for "groups". A null counts as absent.
type claims map[string]json.RawMessage

func (c claims) absent(name string) bool {
	raw, present := c[name]
	return name == "" || !present || string(raw) == "null"
}

// stringClaim gives a string claim; empty if it is absent.
func (c claims) stringClaim(name string) (string, error) {
	if c.absent(name) {
		return "", nil
	}
	var s string
	if json.Unmarshal(c[name], &s) != nil {
		return "", refused("its claim %s is not a string", name)
	}
	return s, nil
}

// stringList gives a claim that is a list of strings, or one string for a list of one: aud
// by RFC 7519, 4.1.3, and groups as some issuers write them.
func (c claims) stringList(name string) ([]string, error) {
	if c.absent(name) {
		return nil, nil
	}
	var one string
	if json.Unmarshal(c[name], &one) == nil {
		return []string{one}, nil
	}
	var list []*string // a null in the list would be "" without the pointer
	if json.Unmarshal(c[name], &list) != nil {
		return nil, refused("its claim %s is neither a string nor a list of strings", text.Quote(name))
	}
	texts := make([]string, len(list))
	for i, s := range list {
		if s == nil {
			return nil, refused("its claim %s has a null in its list", text.Quote(name))
		}
		texts[i] = *s
	}
	return texts, nil
}

// isTrue reports whether a claim is true, or "true": some issuers write email_verified as a
// string. Anything else is false.
func (c claims) isTrue(name string) bool {
	raw := string(c[name])
	return raw == "true" || raw == `"true"`
}

// numericDate gives a NumericDate (RFC 7519, section 2), and whether it is present. Years
// after 9999 have no JSON form in Go.
func (c claims) numericDate(name string) (time.Time, bool, error) {
	if c.absent(name) {
		return time.Time{}, false, nil
	}
	const endOfTime = 253402300800
	var seconds float64
	if json.Unmarshal(c[name], &seconds) != nil || seconds < 0 || seconds >= endOfTime {
		return time.Time{}, false, refused("its claim %s is not a time in seconds since 1970", name)
	}
	return time.Unix(int64(seconds), 0).UTC(), true, nil
}
