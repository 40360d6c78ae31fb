const PATHS = {
  plus: 'M12 5v14M5 12h14',
  search: 'M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM20 20l-4-4',
  pencil: 'M4 20h4L19 9l-4-4L4 16v4zM13 7l4 4',
  trash: 'M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5',
  download: 'M12 4v11M7 11l5 5 5-5M5 20h14',
  upload: 'M12 16V5M7 9l5-5 5 5M5 20h14',
  menu: 'M4 7h16M4 12h16M4 17h16',
  close: 'M6 6l12 12M18 6L6 18',
  sliders: 'M4 7h9M17 7h3M4 17h3M11 17h9M15 5v4M9 15v4',
  send: 'M12 19V5M6 11l6-6 6 6',
  picture: 'M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.500 9.500h.01',
  copy: 'M9 9h11v11H9zM15 9V4H4v11h5',
  check: 'M5 12l5 5 9-10',
  refresh: 'M20 11a8 8 0 1 0-2 6M20 5v6h-6',
  forward: 'M5 12h14M13 6l6 6-6 6',
  left: 'M15 6l-6 6 6 6',
  right: 'M9 6l6 6-6 6',
  down: 'M12 5v14M6 13l6 6 6-6',
  tool: 'M15 4a5 5 0 0 0-4.500 7L4 17.500 6.500 20l6.500-6.500A5 5 0 0 0 20 9l-3 3-5-1 1-5z',
  warning: 'M12 4L2.500 20h19L12 4zM12 10v5M12 17.500h.01',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

export function StopIcon() {
  return (
    <svg class="icon filled" viewBox="0 0 24 24" aria-hidden="true">
      <rect x="6.500" y="6.500" width="11" height="11" rx="2" />
    </svg>
  );
}

export function Logo() {
  return (
    <svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="9" />
      <path d="M11 26V11.5L10.5 5.5l3.5 3h1.5l2.5-3v3.800l3.5 1.5c1.300.6 2 1.5 2 2.700 0 1.5-1 2.5-2.5 2.5h-2.5c-.9 0-1.5.6-1.5 1.5V26" />
      <circle cx="16.3" cy="12" r="1.2" />
    </svg>
  );
}
