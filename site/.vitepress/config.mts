// Builds docs/ into a static site. docs/ stays plain Markdown that GitHub renders as well:
// what differs between the two is translated here.
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { defineConfig } from 'vitepress'
import { repository, slug, toRepository } from './markdown.mts'

const vue = dirname(createRequire(import.meta.url).resolve('vue/package.json'))
const page = (text: string, link: string) => ({ text, link: '/' + link })

export default defineConfig({
  title: 'authgate',
  description: 'One login and one policy file in front of Argo CD, Argo Workflows and other dashboards',
  lang: 'en',
  srcDir: '../docs',
  rewrites: { 'README.md': 'index.md' },
  base: process.env.SITE_BASE ?? '/',
  cleanUrls: true,
  lastUpdated: false,
  head: [['meta', { name: 'referrer', content: 'same-origin' }]],
  // Pages become components that import vue, which is not above docs/.
  vite: { resolve: { alias: { vue } } },
  markdown: {
    languageAlias: { caddyfile: 'nginx' },
    anchor: { slugify: slug },
    toc: { slugify: slug },
    config: (md) => md.use(toRepository),
  },
  themeConfig: {
    search: { provider: 'local' },
    outline: { level: [2, 3] },
    socialLinks: [{ icon: 'github', link: repository }],
    editLink: { pattern: repository + '/edit/main/docs/:path' },
    nav: [page('Concepts', 'concepts'), page('Install', 'install'), page('Policy', 'policy'), page('FAQ', 'faq')],
    sidebar: [
      {
        text: 'Start',
        items: [
          page('Overview', ''),
          page('Concepts', 'concepts'),
          page('authgate and other programs', 'compare'),
          page('FAQ', 'faq'),
        ],
      },
      {
        text: 'Install',
        items: [
          page('Install', 'install'),
          page('EKS, step by step', 'eks'),
          page('GitHub and Dex', 'github'),
          page('Argo CD and Argo Workflows', 'argo'),
          page('Import rules', 'import'),
          page('Move from oauth2-proxy', 'migrate-from-oauth2-proxy'),
          page('Behind nginx, Traefik, Caddy', 'forward-auth'),
          page('doctor', 'doctor'),
        ],
      },
      {
        text: 'Use',
        items: [
          page('Policy', 'policy'),
          page('Lint findings', 'lint'),
          page('Configuration', 'configuration'),
          page('Sessions', 'sessions'),
          page('Terminals', 'terminals'),
        ],
      },
      {
        text: 'Operate',
        items: [
          page('Operations', 'operations'),
          page('Troubleshooting', 'troubleshooting'),
          page('Runbooks', 'runbooks'),
          page('Upgrade and roll back', 'upgrade'),
          page('High availability', 'high-availability'),
          page('Rotation', 'rotation'),
          page('Disaster recovery', 'disaster-recovery'),
          page('Performance', 'performance'),
        ],
      },
      { text: 'Security', items: [page('What authgate refuses', 'security'), page('Hardening checklist', 'hardening')] },
    ],
  },
})
