package audit_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/audit"
)

func written(r audit.Record) string {
	var out bytes.Buffer
	audit.New(&out, slog.New(slog.DiscardHandler)).Write(r)
	return strings.TrimSuffix(out.String(), "\n")
}

// marshalled is what encoding/json makes of a record; empty where it fails.
func marshalled(r audit.Record) string {
	r.Time = r.Time.UTC()
	if r.Roles == nil {
		r.Roles = []string{}
	}
	if r.Groups == nil {
		r.Groups = []string{}
	}
	text, _ := json.Marshal(r)
	return string(text)
}

// A new field of Record must also be encoded.
func TestEveryFieldOfARecordIsWritten(t *testing.T) {
	t.Parallel()
	var r audit.Record
	fields := reflect.ValueOf(&r).Elem()
	for i := range fields.NumField() {
		switch f := fields.Field(i); f.Kind() {
		case reflect.String:
			f.SetString("text of " + fields.Type().Field(i).Name)
		case reflect.Int, reflect.Int64:
			f.SetInt(int64(-i))
		case reflect.Uint64:
			f.SetUint(uint64(i))
		case reflect.Float64:
			f.SetFloat(float64(i) + .5)
		case reflect.Slice:
			f.Set(reflect.ValueOf([]string{"one", "two"}))
		case reflect.Struct:
			f.Set(reflect.ValueOf(time.Unix(1_795_000_000, 987_650_000)))
		default:
			t.Fatalf("%s: no value for it here", fields.Type().Field(i).Name)
		}
	}
	if got, want := written(r), marshalled(r); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestEveryByteIsWrittenAsEncodingJSONDoes(t *testing.T) {
	t.Parallel()
	for c := range 256 {
		r := audit.Record{Path: "/a" + string([]byte{byte(c)}) + "b", Groups: []string{string(rune(c))}}
		if got, want := written(r), marshalled(r); got != want {
			t.Errorf("byte %#x: got  %s\nwant %s", c, got, want)
		}
	}
}

func FuzzRecordIsWhatEncodingJSONWrites(f *testing.F) {
	f.Add("GET", "/api/v1", "a,b", int64(1_795_000_000_123_456_789), uint64(2), 200, int64(1024), 1.5)
	f.Add(`"\</script>&`, "\x00\b\f\n\r\t\x1f\x7f", "\u2028\u2029é\xff\xc0\xaf,\xed\xa0\x80", int64(-1), uint64(0), -1, int64(-1), 0.0)
	f.Add("", "", "", int64(0), ^uint64(0), 1<<31-1, int64(-1<<63), 1e-7)
	f.Add("", "", ",", int64(1<<62), uint64(1), 0, int64(0), 1e21)
	f.Fuzz(func(t *testing.T, method, path, list string, nanos int64, generation uint64, status int, size int64, number float64) {
		r := audit.Record{
			Time: time.Unix(nanos/1000, nanos%1000), Event: audit.Event(path), ID: method, Method: method, Path: path,
			Roles: strings.Split(list, ","), Decision: audit.Decision(list), Rule: path + ":1", Generation: generation,
			Age: number / 3, Status: status, Bytes: size, Millis: number,
		}
		if got, want := written(r), marshalled(r); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

func BenchmarkWriteARecordOfARequest(b *testing.B) {
	r := full
	r.Groups = nil
	for range 20 {
		r.Groups = append(r.Groups, "example-org:platform-team")
	}
	w := audit.New(io.Discard, slog.New(slog.DiscardHandler))
	b.ReportAllocs()
	for b.Loop() {
		w.Write(r)
	}
}
