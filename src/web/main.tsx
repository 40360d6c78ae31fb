import { render } from 'preact';
import { App } from './components/app.js';
import { ChatApp } from './state/chat-app.js';
import './styles/base.css';
import './styles/layout.css';
import './styles/sidebar.css';
import './styles/composer.css';
import './styles/messages.css';
import './styles/markdown.css';
import './styles/settings.css';

const chat = new ChatApp();
render(<App chat={chat} />, document.getElementById('app')!);
void chat.start();
