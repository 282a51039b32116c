package page

import (
	"html/template"
	"time"
)

// at writes a time for a reader. Pages run no script that could know the reader's time zone.
func at(t time.Time) template.HTML {
	t = t.UTC()
	return template.HTML("<time datetime=\"" + t.Format(time.RFC3339) + "\">" + //nolint:gosec // digits
		t.Format("2006-01-02 15:04") + " UTC</time>")
}

// span writes how long something takes, to the minute.
func (c catalog) span(d time.Duration) (template.HTML, error) {
	minutes := int(d.Round(time.Minute) / time.Minute)
	switch {
	case minutes < 1:
		return c.html("time.moment")
	case minutes < 60:
		return c.html("time.minutes", "m", minutes)
	case minutes%60 == 0 || minutes >= 48*60:
		return c.html("time.hours", "h", minutes/60)
	default:
		return c.html("time.hours_minutes", "h", minutes/60, "m", minutes%60)
	}
}
