/* On every page but the labelling page, which has its own: what this browser keeps is sent and told. */

import { Outbox } from "./outbox.js";
import { tellPending } from "./pending.js";

const { owner = "", ownerName } = document.body.dataset;
const outbox = new Outbox(owner, ownerName);
tellPending(outbox, document.getElementById("pending"));
outbox.flush();
