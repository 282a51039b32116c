package audit

import (
	"encoding/json"
	"math"
	"strconv"
)

// appendRecord appends the JSON of a record, byte for byte as encoding/json does, without
// reflection: this runs once per request. The fields are in the order of [Record];
// encoding/json encodes strings that need an escape.
func appendRecord(b []byte, r *Record) ([]byte, error) {
	b = append(b, `{"time":"`...)
	b, err := r.Time.AppendText(b)
	if err != nil {
		return nil, err
	}
	b = append(b, '"')
	b = appendString(b, `,"event":`, string(r.Event))
	b = appendString(b, `,"id":`, r.ID)
	b = appendString(b, `,"request_id":`, r.RequestID)
	b = appendString(b, `,"remote":`, r.Remote)
	b = appendString(b, `,"host":`, r.Host)
	b = appendString(b, `,"method":`, r.Method)
	b = appendString(b, `,"path":`, r.Path)
	b = appendString(b, `,"upstream":`, r.Upstream)
	b = appendString(b, `,"sub":`, r.Subject)
	b = appendString(b, `,"email":`, r.Email)
	b = appendStrings(b, `,"roles":`, r.Roles)
	b = appendStrings(b, `,"groups":`, r.Groups)
	b = appendString(b, `,"decision":`, string(r.Decision))
	b = appendString(b, `,"reason":`, r.Reason)
	b = appendString(b, `,"rule":`, r.Rule)
	b = appendString(b, `,"policy":`, r.Policy)
	b = append(b, `,"generation":`...)
	b = strconv.AppendUint(b, r.Generation, 10)
	if b, err = appendFloat(b, `,"age":`, r.Age); err != nil {
		return nil, err
	}
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(r.Status), 10)
	b = append(b, `,"bytes":`...)
	b = strconv.AppendInt(b, r.Bytes, 10)
	if b, err = appendFloat(b, `,"ms":`, r.Millis); err != nil {
		return nil, err
	}
	b = appendString(b, `,"shadow":`, r.Shadow)
	return append(b, '}'), nil
}

func appendStrings(b []byte, key string, all []string) []byte {
	b = append(append(b, key...), '[')
	for i, s := range all {
		comma := ""
		if i > 0 {
			comma = ","
		}
		b = appendString(b, comma, s)
	}
	return append(b, ']')
}

func appendString(b []byte, key, s string) []byte {
	b = append(b, key...)
	if !needsNoEscape(s) {
		quoted, _ := json.Marshal(s) // a string never fails
		return append(b, quoted...)
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// needsNoEscape reports whether a string is the same in JSON.
func needsNoEscape(s string) bool {
	for i := range len(s) {
		if needsEscape[s[i]] {
			return false
		}
	}
	return true
}

// needsEscape are the bytes that encoding/json may escape; <, > and & because a log can end
// up in a page.
var needsEscape = func() (t [256]bool) {
	for c := range t {
		t[c] = c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&'
	}
	return t
}()

func appendFloat(b []byte, key string, f float64) ([]byte, error) {
	b = append(b, key...)
	if size := math.Abs(f); size == 0 || size >= 1e-6 && size < 1e21 {
		return strconv.AppendFloat(b, f, 'f', -1, 64), nil
	}
	number, err := json.Marshal(f) // an exponent, or not a number
	return append(b, number...), err
}
