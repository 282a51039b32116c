// The sidebar is the list of docs/README.md: a section per heading, an entry per link.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

type Entry = { text: string; link: string }
type Section = { text: string; items: Entry[] }

export function sidebar(docs: string): Section[] {
  const sections: Section[] = []
  for (const line of readFileSync(join(docs, 'README.md'), 'utf8').split('\n')) {
    const heading = line.match(/^## (.+)$/)
    if (heading) {
      sections.push({ text: heading[1], items: [] })
    }
    const entry = line.match(/^\| \[(.+?)\]\(([\w-]+)\.md\)/)
    if (entry) {
      sections.at(-1)?.items.push({ text: entry[1], link: '/' + entry[2] })
    }
  }
  const listed = new Set(sections.flatMap((section) => section.items.map((item) => item.link)))
  const others = readdirSync(docs)
    .filter((file) => file.endsWith('.md') && file !== 'README.md' && !listed.has('/' + file.slice(0, -3)))
    .map((file) => ({ text: title(join(docs, file)), link: '/' + file.slice(0, -3) }))
  return others.length > 0 ? [...sections, { text: 'More', items: others }] : sections
}

function title(file: string): string {
  return readFileSync(file, 'utf8').match(/^# (.+)$/m)?.[1].replaceAll('`', '') ?? file
}
