// Package color reads colours as CSS writes them, and compares them as WCAG 2.2 does.
package color

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Color is an opaque colour of sRGB.
type Color struct{ R, G, B uint8 }

// Black and White are the colours of text on a coloured background.
var (
	Black = Color{0, 0, 0}
	White = Color{255, 255, 255}
)

// String is the form #rrggbb.
func (c Color) String() string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

var (
	errSyntax      = errors.New("is not a CSS colour")
	errTransparent = errors.New("is not opaque")
)

// Parse reads a name, #rgb, #rrggbb, rgb(), hsl() and their forms with an alpha value, which
// must be 1 (CSS Color Level 4). Colours that depend on a page, such as currentColor, are not
// known here.
func Parse(s string) (Color, error) {
	s = strings.ToLower(strings.TrimSpace(s))
	if digits, ok := strings.CutPrefix(s, "#"); ok {
		return parseHex(digits)
	}
	if function, arguments, ok := strings.Cut(s, "("); ok {
		inside, closed := strings.CutSuffix(arguments, ")")
		if !closed {
			return Color{}, errSyntax
		}
		return parseFunction(function, inside)
	}
	if s == "transparent" {
		return Color{}, errTransparent
	}
	if digits, ok := hexOf(s); ok {
		return parseHex(digits)
	}
	return Color{}, errSyntax
}

func parseHex(digits string) (Color, error) {
	if len(digits) == 3 || len(digits) == 4 { // each digit stands for two
		long := ""
		for _, d := range digits {
			long += string(d) + string(d)
		}
		digits = long
	}
	if len(digits) != 6 && len(digits) != 8 {
		return Color{}, errSyntax
	}
	n, err := strconv.ParseUint(digits, 16, 32)
	if err != nil {
		return Color{}, errSyntax
	}
	if len(digits) == 8 {
		if n&0xff != 0xff {
			return Color{}, errTransparent
		}
		n >>= 8
	}
	return Color{uint8(n >> 16), uint8(n >> 8), uint8(n)}, nil
}

// parseFunction reads what is between the parentheses: three values and perhaps alpha,
// separated by commas or by spaces and a slash.
func parseFunction(function, inside string) (Color, error) {
	values := strings.Split(inside, ",")
	if len(values) == 1 {
		before, alpha, hasAlpha := strings.Cut(inside, "/")
		if values = strings.Fields(before); hasAlpha {
			values = append(values, alpha)
		}
	}
	for i := range values {
		values[i] = strings.TrimSpace(values[i])
	}
	if len(values) == 4 {
		if alpha, err := parseNumber(values[3], 1); err != nil || alpha < 1 {
			return Color{}, errTransparent
		}
		values = values[:3]
	}
	if len(values) != 3 {
		return Color{}, errSyntax
	}
	switch function {
	case "rgb", "rgba":
		return parseRGB(values)
	case "hsl", "hsla":
		return parseHSL(values)
	default:
		return Color{}, errSyntax
	}
}

func parseRGB(values []string) (Color, error) {
	var channels [3]uint8
	for i, value := range values {
		n, err := parseNumber(value, 255)
		if err != nil {
			return Color{}, err
		}
		channels[i] = toByte(n / 255)
	}
	return Color{channels[0], channels[1], channels[2]}, nil
}

func parseHSL(values []string) (Color, error) {
	hue, err := strconv.ParseFloat(strings.TrimSuffix(values[0], "deg"), 64)
	if err != nil || math.Abs(hue) > 1e6 || math.IsNaN(hue) {
		return Color{}, errSyntax
	}
	saturation, err := parsePercentage(values[1])
	if err != nil {
		return Color{}, err
	}
	lightness, err := parsePercentage(values[2])
	if err != nil {
		return Color{}, err
	}
	hue = math.Mod(math.Mod(hue, 360)+360, 360)
	channel := func(n float64) uint8 { // CSS Color Level 4, 7.1
		k := math.Mod(n+hue/30, 12)
		return toByte(lightness - saturation*min(lightness, 1-lightness)*max(-1, min(k-3, 9-k, 1)))
	}
	return Color{channel(0), channel(8), channel(4)}, nil
}

func parsePercentage(s string) (float64, error) {
	n, err := parseNumber(strings.TrimSuffix(s, "%"), 1)
	return min(n/100, 1), err
}

// parseNumber reads a number that is not negative, or a percentage of whole.
func parseNumber(s string, whole float64) (float64, error) {
	number, isPercentage := strings.CutSuffix(s, "%")
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) || n < 0 {
		return 0, errSyntax
	}
	if isPercentage {
		n *= whole / 100
	}
	return n, nil
}

func toByte(share float64) uint8 { return uint8(math.Round(255 * max(0, min(share, 1)))) }

// Contrast is the contrast ratio of two colours, from 1 to 21 (WCAG 2.2).
func Contrast(a, b Color) float64 {
	lighter, darker := a.luminance(), b.luminance()
	if lighter < darker {
		lighter, darker = darker, lighter
	}
	return (lighter + 0.05) / (darker + 0.05)
}

// ReadableOn is black or white, whichever has more contrast on a background.
func ReadableOn(background Color) Color {
	if Contrast(Black, background) > Contrast(White, background) {
		return Black
	}
	return White
}

// luminance is the relative luminance of WCAG 2.2.
func (c Color) luminance() float64 {
	linear := func(channel uint8) float64 {
		v := float64(channel) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
}
