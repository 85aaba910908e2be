/** The frame of a page that shows results: it asks for nothing, follows the reader's colour scheme, and can be printed. */
import { html, type Markup } from './html.ts'
import { reportStyle } from './report-style.ts'

/** A whole HTML page: no script, no request to anywhere, both colour schemes. */
export function formatPage(title: string, content: Markup): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta
          http-equiv="Content-Security-Policy"
          content="default-src 'none'; style-src 'unsafe-inline'; img-src data:"
        />
        <title>${title}</title>
        <style>
          ${trusted(reportStyle)}
        </style>
      </head>
      <body>
        <main>${content}</main>
      </body>
    </html> `.text
}

/** Our own constants go in as they are. */
function trusted(text: string): Markup {
  const parts = Object.assign([text], { raw: [text] })
  return html(parts)
}

/** A heading, and a card with what it is about. */
export function section(name: string, content: Markup, note?: string): Markup {
  return html`<h2>${name}${note === undefined ? undefined : html` <small>${note}</small>`}</h2>
    <div class="card">${content}</div>`
}
