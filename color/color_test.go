package color_test

import (
	"math"
	"testing"

	"github.com/example-org/authgate/color"
)

func TestParseReadsWhatCSSReads(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"#0b6bcb": "#0b6bcb", "#0B6BCB": "#0b6bcb", "#abc": "#aabbcc", "#abcf": "#aabbcc", "#0b6bcbff": "#0b6bcb",
		"rebeccapurple": "#663399", "RebeccaPurple": "#663399", " teal ": "#008080", "lightgoldenrodyellow": "#fafad2", "yellowgreen": "#9acd32",
		"rgb(11, 107, 203)": "#0b6bcb", "rgb(11 107 203)": "#0b6bcb", "rgba(11,107,203,1)": "#0b6bcb", "rgb(11 107 203 / 100%)": "#0b6bcb",
		"rgb(100% 0% 20%)": "#ff0033", "rgb(300 0 0)": "#ff0000", "RGB(1 2 3)": "#010203",
		"hsl(210 100% 50%)": "#0080ff", "hsl(210deg, 100%, 50%)": "#0080ff", "hsl(0 0% 100%)": "#ffffff", "hsl(-150 100% 50%)": "#0080ff",
		"hsla(120, 100%, 25%, 1)": "#008000", "hsl(570 100% 50%)": "#0080ff",
	} {
		if got, err := color.Parse(s); err != nil || got.String() != want {
			t.Errorf("%q: %s, %v; want %s", s, got, err, want)
		}
	}
	for _, s := range []string{
		"", " ", "#", "#12", "#12345", "#1234567", "#xyz", "#+12", "0b6bcb", "blu", "transparent", "currentColor", "inherit", "var(--x)",
		"rgb(1,2)", "rgb(1,2,3", "rgb(1,2,3,4,5)", "rgb(a,b,c)", "rgb(-1,0,0)", "rgb(NaN,0,0)", "rgb(Inf 0 0)", "rgba(0,0,0,.5)", "#0000", "#0b6bcb80",
		"hsl(x 1% 1%)", "hsl(NaN 0% 0%)", "hsl(1e9 0% 0%)", "url(x)", "red;}", "red}", "#fff;", "expression(1)", "rgb(1 2 3) red", "rgb(1 2 3 / 0.5)",
	} {
		if got, err := color.Parse(s); err == nil {
			t.Errorf("%q is read as %s", s, got)
		}
	}
}

func TestContrastIsThatOfWCAG(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want float64
	}{{"#000", "#fff", 21}, {"#fff", "#000", 21}, {"#777", "#fff", 4.48}, {"red", "white", 4}, {"#0b6bcb", "#0b6bcb", 1}} {
		a, errA := color.Parse(c.a)
		b, errB := color.Parse(c.b)
		if got := color.Contrast(a, b); errA != nil || errB != nil || math.Abs(got-c.want) > 0.01 {
			t.Errorf("%s on %s: %.3f, want %.2f", c.a, c.b, got, c.want)
		}
	}
	for background, want := range map[string]color.Color{"#000": color.White, "#fff": color.Black, "yellow": color.Black, "navy": color.White} {
		c, err := color.Parse(background)
		if got := color.ReadableOn(c); err != nil || got != want {
			t.Errorf("text on %s is %s", background, got)
		}
	}
}
